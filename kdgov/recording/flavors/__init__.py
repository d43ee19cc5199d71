"""The recorded version as an MLflow model: its flavours, and loaders that verify before they load.

MLflow reads ``MLmodel`` of the logged model and hands its folder to one of two loaders, which both ask `verified_folder` first:

====================  ====================================================================================
``pyfunc_loader``     ``mlflow.pyfunc.load_model``, ``mlflow models serve``, Spark UDFs
``transformers_loader``  ``mlflow.transformers.load_model``: pipeline or components
====================  ====================================================================================
"""
