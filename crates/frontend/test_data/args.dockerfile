#: arg ONE=given
#: arg BROKEN=fine
#: arg TARGETSTAGE=mine
#: arg all_proxy=socks
ARG GLOBAL=g
ARG ONE=1
ARG DEFAULTED=global
FROM base AS first
RUN before
ARG ONE TWO=2 THREE
ARG GLOBAL
ARG DEFAULTED=own
ARG BROKEN=${UNSET:?never expanded}
ARG TARGETSTAGE
RUN args
ENV TWO=env BASE=$BASE$TWO
RUN env wins
ARG TWO=again
RUN arg wins
ARG ALL_PROXY
FROM first AS last
RUN inherited: config first
