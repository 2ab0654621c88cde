ARG BASE=alpine
ARG TAG
FROM $BASE:${TAG:-3.18}
ARG GIVEN=default
ARG TAG=9
ARG BASE
ARG EMPTY
ENV A=1 B="$A$TAG" C='$A'
ENV D=$A
ENV TAG=hidden
WORKDIR /srv/$D
WORKDIR sub
LABEL v="$GIVEN" tag=$TAG
RUN echo $A
USER me:$D
RUN ["echo", "$A"]
EXPOSE 80 53/udp 7000-7001
SHELL ["/bin/bash", "-c"]
CMD echo hi
