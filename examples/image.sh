#!/bin/sh
# Makes the lab image from Debian's static busybox, without a registry, and hands it to an engine.
#
#     sh examples/image.sh                    loads stack-lab:latest into the engine that `docker` talks to
#     sh examples/image.sh --tar FILE         writes the image to FILE ("-": standard output) for `docker load`
#       --name NAME:TAG                       another name
#       --stop-signal SIGNAL                  another stop signal
#
# The image has every applet of busybox (httpd, nc, ip, ping, nslookup, wget, …) and, as its command, a web server on
# port 80: `/` says a fixed line, `/cgi-bin/who` says the name of the machine that answers and the address it was
# asked from. A web server that runs as process 1 does not end on SIGTERM, so the image's stop signal is SIGKILL and
# `stop` and `down` do not wait for their grace period.
#
# Debian's busybox 1.35 crashes in `wget -T SECONDS` when the connection fails; use `nc -w SECONDS ADDRESS PORT` where a
# time limit is needed.
#
# The recipe, for whoever wants to make the same file elsewhere (a program needs a tar and a SHA-256, no engine):
#   layer.tar      the root tree: /bin/busybox (mode 755), one symbolic link /bin/APPLET -> busybox for each line of
#                  `busybox --list`, /etc/{passwd,group,nsswitch.conf}, /www/index.html, /www/cgi-bin/who (755),
#                  empty /tmp (1777), /root, /proc, /sys, /dev, /run; sorted, owner 0:0, all times 0
#   config.json    the image's configuration; rootfs.diff_ids = ["sha256:" + SHA-256 of layer.tar], no other variable
#   manifest.json  [{"Config": "config.json", "RepoTags": ["stack-lab:latest"], "Layers": ["layer.tar"]}]
# These three in one tar are what POST /images/load takes. Nothing in it depends on the time or on the machine, so the
# image's id changes with busybox only, and loading it again changes nothing.
set -eu

name=stack-lab:latest
signal=SIGKILL
out=
while [ $# -gt 0 ]; do
    case $1 in
        --tar) out=$2; shift 2 ;;
        --name) name=$2; shift 2 ;;
        --stop-signal) signal=$2; shift 2 ;;
        *) echo "usage: image.sh [--tar FILE] [--name NAME:TAG] [--stop-signal SIGNAL]" >&2; exit 2 ;;
    esac
done

busybox=$(command -v busybox) || { echo "image: no busybox here: apt-get install busybox-static" >&2; exit 1; }
if ldd "$busybox" >/dev/null 2>&1; then
    echo "image: $busybox needs libraries: apt-get install busybox-static" >&2
    exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
umask 022
mkdir "$work/root" "$work/image"
cd "$work/root"
mkdir -p bin etc root proc sys dev run tmp www/cgi-bin
chmod 1777 tmp
cp -L "$busybox" bin/busybox
chmod 755 bin/busybox
for applet in $("$busybox" --list); do
    [ "$applet" = busybox ] || ln -s busybox "bin/$applet"
done
echo 'root:x:0:0:root:/root:/bin/sh' >etc/passwd
echo 'root:x:0:' >etc/group
echo 'hosts: files dns' >etc/nsswitch.conf
echo 'hello from the stack lab image' >www/index.html
cat >www/cgi-bin/who <<'END'
#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n%s answers %s\n' "$(hostname)" "$REMOTE_ADDR"
END
chmod 755 www/cgi-bin/who

# pack FOLDER FILE NAME…: a tar that is the same on every machine.
pack() {
    folder=$1 file=$2
    shift 2
    tar -C "$folder" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf "$file" "$@"
}
pack "$work/root" "$work/image/layer.tar" bin dev etc proc root run sys tmp www
layer=$(sha256sum "$work/image/layer.tar" | cut -d' ' -f1)
case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) architecture=$(uname -m) ;;
esac
cat >"$work/image/config.json" <<END
{"architecture":"$architecture","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":["PATH=/bin"],"Cmd":["httpd","-f","-p","80","-h","/www"],"WorkingDir":"/","StopSignal":"$signal"},"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"examples/image.sh"}]}
END
cat >"$work/image/manifest.json" <<END
[{"Config":"config.json","RepoTags":["$name"],"Layers":["layer.tar"]}]
END

case $out in
    '') pack "$work/image" - config.json layer.tar manifest.json | docker load -q ;;
    -) pack "$work/image" - config.json layer.tar manifest.json ;;
    *) cd "$OLDPWD" && pack "$work/image" "$out" config.json layer.tar manifest.json ;;
esac
