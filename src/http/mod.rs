//! The words on the wire: pure parsing and writing, no I/O.
