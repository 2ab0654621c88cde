FROM base AS one
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
FROM one
RUN a | b
RUN ["a", "b"]
CMD a
ENTRYPOINT a
RUN --mount=type=bind,target=/x <<EOF
a
EOF
