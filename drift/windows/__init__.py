"""Windows: minutes of counts, merged until event time has passed; what a closed window reports."""
