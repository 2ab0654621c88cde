FROM base
WORKDIR /w
RUN --mount=type=secret,id=one --mount=type=secret,id=a/two,required=true,mode=0440,uid=1,gid=2 x
RUN --mount=type=secret,id=three,env=THREE --mount=type=secret,id=four,env=FOUR,target=rel/four,required x
RUN --mount=type=secret,target=/run/five x
RUN --mount=type=ssh --mount=type=ssh,id=other,mode=0666,uid=5,required x
ENV SSH_AUTH_SOCK=/mine
RUN --mount=type=ssh,target=/s.sock x
