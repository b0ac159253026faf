"""DICOM results of a study: pure conversions, without AWS. Nothing but ``functions.deliver`` imports this package.

highdicom, numpy and Pillow come with the layer of that one function.
"""
