#!/bin/sh
# The first process of a host that tests/namespaces/hosts.py makes: gives it files of its own, then is its SSH server.
# It already has its own process numbers, mounts and network. All of it ends when this process ends.
#
#     boot.sh FOLDER HOME SHARED...
#
# FOLDER is the host's own; SHARED are folders of the machine that it sees although they lie in /tmp or HOME.
set -eu
folder=$1 home=$2
shift 2
for shared; do
    case $shared/ in
    "$home"/*) inside=$folder/home${shared#"$home"} ;;
    /tmp/*) inside=$folder/tmp${shared#/tmp} ;;
    *) continue ;;
    esac
    mkdir -p "$inside"
    mount --bind "$shared" "$inside"
done
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount --rbind "$folder/home" "$home"
mount --rbind "$folder/tmp" /tmp
exec /usr/sbin/sshd -D -e -f "$folder/sshd_config"
