"""From the bytes of one DICOM object to Hounsfield units: header, codestream, and decoders in their sandbox."""
