# Types for the compiler; grammar.py is the source. Texts have none where they may be of a class derived from str.
cimport cython

cpdef bint is_token(text) except -1

cpdef list split_list(value)

cpdef bint has_token(value, str token) except -1

@cython.locals(lines=list, text=str)
cpdef bytes encode_head(start_line, headers)
