# syntax=docker/dockerfile:1
# escape=\
# check=skip=JSONArgsRecommended

# VERSION the version of the base
ARG VERSION=18 FLAVOR
ARG UNUSED="a b"

# builder makes the application
FROM --platform=$BUILDPLATFORM node:${VERSION}-${FLAVOR:-alpine} AS Builder
SHELL ["/bin/sh", "-ec"]
WORKDIR /app
COPY --chown=node:node --chmod=u=rwX,go=rX package*.json ./
COPY --link --exclude=*.md --exclude=docs . .
COPY --parents ["a b/./c", "to/"]
RUN --mount=type=cache,target=/root/.npm,sharing=locked \
    --mount=type=secret,id=npmrc,required --network=none \
    # a comment in between
    npm ci && \
    npm run build
RUN --security=insecure --device=vendor.com/gpu=all,required ["true", "x"]
RUN <<EOF
set -e
# not a comment
echo "$HOME"
EOF
RUN <<-'A' cat > /a && <<B cat > /b
	tab
	A
b
B
RUN <<-"#SH"
	#!/usr/bin/env python3
	print(1)
	#SH
COPY <<one <<"two" 3<<three /etc/files/
$VERSION
one
two
two
# three
three
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/a.tar.gz /a/
ADD --keep-git-dir --unpack=false git@example.com:a/b.git#v1:sub /b
ENV A=1 B="two words" C='$A' D=a\ b
ENV OLD the rest of "the line"
LABEL a.b.c="x" multi="one \
two"
ARG TOKENS=none MORE

FROM scratch AS production
COPY --from=Builder /app/dist /app
COPY --from=0 /etc/passwd /etc/passwd
COPY --from=nginx:1.25 /etc/nginx /etc/nginx
EXPOSE 80 443/tcp 8000-8010/udp $PORT
VOLUME /data /logs
VOLUME ["/with space"]
USER 1001:1001
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=3 \
  CMD curl -f http://localhost/ || exit 1
HEALTHCHECK CMD ["true"]
HEALTHCHECK NONE
ONBUILD COPY . /src
ONBUILD RUN <<EOF
make
EOF
MAINTAINER Some One <one@example.com>
ENTRYPOINT []
CMD
CMD exec "$@"
ENTRYPOINT ["/app/main", "--flag", "\u00e9\n"]
