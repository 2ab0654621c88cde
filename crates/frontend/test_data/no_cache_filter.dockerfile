#: no-cache-filter TOOLS
FROM base AS tools
RUN x
FROM tools
COPY a b
