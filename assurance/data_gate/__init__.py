"""What the data gate finds and what it does not: copies in another form, two ids of one patient, telling properties."""
