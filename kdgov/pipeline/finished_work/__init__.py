"""Finished work of the steps by digest: results, the folder they are kept in, and who may work on one."""
