#: platform linux/arm64/v8
#: of empty layers none
#: of empty architecture amd64
FROM empty
COPY a b
