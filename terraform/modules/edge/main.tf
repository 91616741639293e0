locals {
  _name = "rmu-${var.environment}"

  # https://www.cloudflare.com/ips-v4, as of autumn 2026; it changes every few years. The
  # balancer has no IPv6 address, so the other list has nothing to open.
  _cloudflare = [
    "103.21.244.0/22",
    "103.22.200.0/22",
    "103.31.4.0/22",
    "104.16.0.0/13",
    "104.24.0.0/14",
    "108.162.192.0/18",
    "131.0.72.0/22",
    "141.101.64.0/18",
    "162.158.0.0/15",
    "172.64.0.0/13",
    "173.245.48.0/20",
    "188.114.96.0/20",
    "190.93.240.0/20",
    "197.234.240.0/22",
    "198.41.128.0/17",
  ]
  _ranges = var.allowed_ranges != null ? var.allowed_ranges : local._cloudflare
}

# One list and one rule a port, where a rule a range would be thirty.
resource "aws_ec2_managed_prefix_list" "allowed" {
  name           = "${local._name}-edge"
  address_family = "IPv4"
  max_entries    = max(length(local._ranges), 20)

  dynamic "entry" {
    for_each = toset(local._ranges)
    content {
      cidr = entry.value
    }
  }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = toset([for port in var.ports : tostring(port)])

  security_group_id = var.balancer_security_group_id
  description       = "From the edge alone"
  prefix_list_id    = aws_ec2_managed_prefix_list.allowed.id
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value)
  to_port           = tonumber(each.value)
}

# Read into the state, which an ephemeral read would avoid, because a listener rule
# has no write-only value: whoever may describe the rule reads it there as well. It
# guards one thing only, that a request came through our own Cloudflare zone.
data "aws_ssm_parameter" "header" {
  for_each = toset(var.header_secrets)

  name            = each.value
  with_decryption = true
}

# Several values are accepted at once, so that a secret can be changed without a
# refused request: add the new one, change the edge, drop the old one.
resource "aws_lb_listener_rule" "header" {
  count = length(var.header_secrets) > 0 ? 1 : 0

  listener_arn = var.listener_arn
  priority     = 10

  condition {
    http_header {
      http_header_name = "X-Rmu-Edge"
      values           = [for name in var.header_secrets : data.aws_ssm_parameter.header[name].value]
    }
  }

  action {
    type             = "forward"
    target_group_arn = var.target_group_arn
  }
}
