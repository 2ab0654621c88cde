FROM base AS a
FROM base
WORKDIR /w
COPY --parents --exclude=*.o --exclude=t/$BASE ./x/./y/*.c z/ /src
COPY a b c
COPY a $BASE
COPY --from=a /1 /2
COPY --chown=$BASE:0 --chmod=u=rwX,go=rX <<A <<-"B" x /multi
$BASE \$BASE "q"
A
	$BASE
B
COPY a /./b/../c/.
