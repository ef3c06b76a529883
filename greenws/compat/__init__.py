"""Applications written for other libraries, on our connections. One module for each library."""
