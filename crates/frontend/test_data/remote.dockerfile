FROM base
WORKDIR /w
ENV HOST=example.com V=v1
ADD https://$HOST/a.tgz .
ADD --unpack=true --checksum=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 https://me:secret@$HOST/b.tgz /b/
ADD https://$HOST/ /name
ADD --chmod=755 --chown=1 local "https://$HOST/a[1].txt" also-local https://$HOST/src.git#$V:sub dest/
ADD --keep-git-dir=true --checksum=0123456789abcdef0123456789abcdef01234567 git@$HOST:a/b /git
ADD --keep-git-dir https://$HOST/no-ending /git2
ADD ssh://git@$HOST/x?tag=v2&submodules=false /git3
ADD --unpack=false local.tar /
ADD github.com/a/b /path
