#: of empty layers none
FROM empty
COPY a b
