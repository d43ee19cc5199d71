"""The items that changed hands between teacher and student: as values (`changed_items`), and as one page of a file (`item_file`)."""
