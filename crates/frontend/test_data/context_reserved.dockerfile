#: files scratch
#: files context
FROM scratch
COPY a b
