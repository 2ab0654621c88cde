#: arg BUILDKIT_CACHE_MOUNT_NS=team
FROM other AS seed
FROM base
ENV DIR=dir
WORKDIR /w
RUN --mount=target=/src --mount=type=bind,source=$DIR/a,target=b,rw x
RUN --mount=type=cache,target=/root/.cache/ --mount=type=cache,target=rel x
RUN --mount=type=cache,id=$DIR,target=/c,sharing=locked,mode=0700,uid=1000,gid=1000,ro x
RUN --mount=type=cache,target=/c,sharing=private,from=seed,source=s x
RUN --mount=type=tmpfs,target=/t,size=64m --mount=type=tmpfs,target=/t/below x
RUN --mount=type=tmpfs,target=/twice --mount=type=cache,target=/twice x
RUN <<SCRIPT
#!/usr/bin/python3
print()
SCRIPT
RUN <<-EOT
	echo 1
	EOT
RUN cat <<A >x && cat <<B
a
A
b
B
