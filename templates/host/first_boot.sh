#!/bin/bash
# First boot of an rmu host. Safe to run again: what is there stays, what differs is written whole.
set -euo pipefail
umask 022
mkdir -p /var/log/rmu /etc/rmu /var/lib/rmu
exec > >(tee -a /var/log/rmu/user-data.log) 2>&1
say() { printf '%s %s\n' "$(date -u +%FT%TZ)" "$*"; }
trap 'say "failed at line $LINENO: $BASH_COMMAND"' ERR
export DEBIAN_FRONTEND=noninteractive

{# Put stdin into file $1 and say whether it differed; a reader never meets half of it. #}
put() {
  mkdir -p "$(dirname "$1")"
  cat > "$1.new"
  if cmp -s "$1.new" "$1"; then rm "$1.new"; return 1; fi
  mv "$1.new" "$1"
}
have() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
{# The nightly upgrades hold apt's locks and a mirror stumbles: neither is worth a host. #}
again() {
  local n
  for n in 1 2 3 4 5 6; do "$@" && return; say "once more ($n): $1"; sleep 15; done
  "$@"
}
agent() { # package, URL; not in /tmp, which is memory
  have "$1" && return
  say "installing $1"
  curl -fsS --retry 5 --retry-connrefused --max-time 300 -o "/var/tmp/$1.deb" "$2" &&
    again dpkg -i "/var/tmp/$1.deb" && rm "/var/tmp/$1.deb"
}

{# Installing an agent alone has run a small instance out of memory: swap comes first. #}
if [ "$(wc -l < /proc/swaps)" -lt 2 ]; then
  say "making a swap file"
  [ -e /swapfile ] || { fallocate -l 1G /swapfile && chmod 600 /swapfile && mkswap -q /swapfile; }
  if swapon /swapfile; then
    grep -q '^/swapfile ' /etc/fstab || echo '/swapfile none swap sw 0 0' >> /etc/fstab
  else
    say "this kernel refuses a swap file; going on without"
    rm /swapfile
  fi
fi

{% for name, path, text in files %}
changed_{{ name }}=
put {{ path }} <<'RMU-END' && changed_{{ name }}=yes
{{ text }}RMU-END
{% endfor %}
[ -e /var/lib/rmu/live.map ] || echo 'live none' > /var/lib/rmu/live.map
[ -e /var/lib/rmu/hold.map ] || echo 'until 0' > /var/lib/rmu/hold.map

missing=()
for package in {{ packages }}; do have "$package" || missing+=("$package"); done
if [ -n "${missing[*]-}" ]; then
  say "installing ${missing[*]}"
  again apt-get -q update
  again apt-get -qy -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold install --no-install-recommends "${missing[@]}"
fi
agent amazon-ssm-agent https://s3.{{ region }}.amazonaws.com/amazon-ssm-{{ region }}/latest/debian_amd64/amazon-ssm-agent.deb
if [ ! -s /etc/rmu/rds-ca.pem ]; then
  curl -fsS --retry 5 --max-time 60 -o /etc/rmu/rds-ca.pem.new https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
  mv /etc/rmu/rds-ca.pem.new /etc/rmu/rds-ca.pem
fi

say "enabling units"
systemctl daemon-reload
id rmu > /dev/null 2>&1 || useradd -rms /bin/bash rmu
[ -z "$changed_sshd" ] || systemctl reload-or-restart ssh.service || say "sshd does not start"
systemctl enable -q --now nftables.service redis-server.service amazon-ssm-agent.service rmu-follow.service rmu-vitals.timer
nft -f /etc/nftables.conf
[ -z "$changed_redis" ] || systemctl restart redis-server.service
{# rmu-boot starts HAProxy, once the map is this instance's own. #}
systemctl disable -q haproxy.service
[ -z "$changed_haproxy" ] || ! systemctl is-active -q haproxy.service || systemctl reload haproxy.service
systemctl enable -q rmu-boot.service podman-clean-transient.service
systemctl restart rmu-boot.service || say "rmu-boot has not finished; it goes on trying"
{# Serving comes first, and a host without metrics is better than none: an alarm tells of its silence. #}
{
  agent amazon-cloudwatch-agent https://amazoncloudwatch-agent-{{ region }}.s3.{{ region }}.amazonaws.com/debian/amd64/latest/amazon-cloudwatch-agent.deb &&
    /opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c file:/etc/rmu/cloudwatch-agent.json
} || say "the metrics agent is missing"
say "done"
