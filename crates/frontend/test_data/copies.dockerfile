FROM busybox
WORKDIR /app
COPY --chown=node:node --chmod=644 a b/ ./
COPY . .
COPY ../outside/x /y
ADD archive.tar.gz /opt/
COPY <<EOF /etc/greeting
hello $PATH
EOF
RUN <<EOF
echo one
echo two
EOF
RUN --mount=type=cache,target=/root/.npm --mount=type=bind,source=src,target=/src --mount=type=tmpfs,target=/t npm ci
