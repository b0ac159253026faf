"""The reads of studies: asked for, shown, saved, waited for."""
