"""Parts of validate_data: the rules on counts and the checks of the tables themselves."""
