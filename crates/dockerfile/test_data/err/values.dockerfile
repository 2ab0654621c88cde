# escape=x
# syntax=a
# syntax=b
FROM a
CMD ["a", 1]
COPY --from=$X a b
COPY https://example.com/x /x
COPY <<EOF
EOF
COPY a <<EOF
EOF
