locals {
  _name  = "rmu-${var.environment}"
  _https = var.certificate_arn != ""

  _host_tags = {
    Name       = "${local._name}-host"
    "rmu:env"  = var.environment
    "rmu:role" = "host"
  }
}

# ---- who may talk to whom

# Who may enter is the edge module's business: this group starts closed.
resource "aws_security_group" "balancer" {
  name        = "${local._name}-balancer"
  description = "Load balancer of ${local._name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-balancer" }
}

resource "aws_vpc_security_group_egress_rule" "balancer_to_hosts" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "To the hosts' HAProxy"
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_security_group" "host" {
  name        = "${local._name}-host"
  description = "Hosts of ${local._name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-host" }
}

resource "aws_vpc_security_group_ingress_rule" "host_from_balancer" {
  security_group_id            = aws_security_group.host.id
  description                  = "HAProxy, from the balancer alone"
  referenced_security_group_id = aws_security_group.balancer.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

# The scraper reads the open web and the packages come from mirrors: both need
# 80 and 443 to anywhere. DNS and time are the VPC's own and pass no group.
resource "aws_vpc_security_group_egress_rule" "host_out" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.host.id
  description       = "Out by ${each.key}"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

# ---- the balancer

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_91:HAProxy on the host logs every request; the balancer's own log is a bucket and a bill
  #checkov:skip=CKV2_AWS_28:Cloudflare's firewall stands in front, and the group admits nobody else
  name                       = local._name
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.balancer.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection
  idle_timeout               = 60 # HAProxy's keep-alive is chosen longer than this
}

resource "aws_lb_target_group" "hosts" {
  name                 = "${local._name}-hosts"
  vpc_id               = var.vpc_id
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "instance"
  deregistration_delay = 30

  # Answered by HAProxy itself: neither the app nor its database can make the
  # group replace a host that is well.
  health_check {
    path                = "/rmu-health"
    matcher             = "200"
    interval            = 5
    timeout             = 3
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_listener" "front" {
  load_balancer_arn = aws_lb.this.arn
  port              = local._https ? 443 : 80
  protocol          = local._https ? "HTTPS" : "HTTP"
  certificate_arn   = local._https ? var.certificate_arn : null
  ssl_policy        = local._https ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  # With a header secret the edge module's rule forwards, and the rest is refused.
  default_action {
    type             = var.forward_by_default ? "forward" : "fixed-response"
    target_group_arn = var.forward_by_default ? aws_lb_target_group.hosts.arn : null

    dynamic "fixed_response" {
      for_each = var.forward_by_default ? [] : [403]
      content {
        status_code  = fixed_response.value
        content_type = "text/plain"
        message_body = "Not this way."
      }
    }
  }
}

resource "aws_lb_listener" "redirect" {
  count = local._https ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      port        = "443"
      protocol    = "HTTPS"
      status_code = "HTTP_301"
    }
  }
}

# ---- the hosts

resource "aws_launch_template" "host" {
  #checkov:skip=CKV_AWS_88:a public address without inbound costs 3.65 a month, a NAT gateway 33
  name                   = "${local._name}-host"
  description            = "Host of ${local._name}"
  image_id               = var.host.ami_id
  instance_type          = var.host.instance_type
  update_default_version = true
  user_data              = var.host.user_data_base64

  # Burstable hosts are unlimited by default, and a busy browser bills the surplus.
  dynamic "credit_specification" {
    for_each = startswith(var.host.instance_type, "t") ? ["standard"] : []
    content {
      cpu_credits = credit_specification.value
    }
  }

  block_device_mappings {
    device_name = var.host.root_device

    ebs {
      volume_type           = "gp3"
      volume_size           = var.host.disk_gb
      encrypted             = true
      delete_on_termination = true
    }
  }

  iam_instance_profile {
    name = var.instance_profile
  }

  # Hop limit 1: a container's packet has one hop more, so the scraper's browser
  # cannot fetch the host's credentials.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  monitoring {
    enabled = true
  }

  # A public address costs 3.65 a month, a NAT gateway 33; nothing may enter by it.
  network_interfaces {
    associate_public_ip_address = true
    delete_on_termination       = true
    security_groups             = [aws_security_group.host.id]
  }

  # Default tags of the provider do not reach what a launch template makes.
  dynamic "tag_specifications" {
    for_each = toset(["instance", "network-interface", "volume"])
    content {
      resource_type = tag_specifications.value
      tags          = merge(local._host_tags, { "rmu:managed-by" = "terraform" })
    }
  }
}

resource "aws_autoscaling_group" "hosts" {
  name                      = "${local._name}-hosts"
  vpc_zone_identifier       = var.subnet_ids
  min_size                  = var.hosts
  max_size                  = var.hosts
  target_group_arns         = [aws_lb_target_group.hosts.arn]
  health_check_type         = "ELB"
  health_check_grace_period = 300

  # Terraform does not wait for hosts: rmu does, with progress, and can say which
  # of birth, boot, pull and start is slow.
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.host.id
    version = aws_launch_template.host.latest_version
  }

  # Inside the group, or the first host would be born before its hook exists. The
  # boot script completes it; a host that never does is thrown away.
  initial_lifecycle_hook {
    name                 = "${local._name}-boot"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 900
    default_result       = "ABANDON"
  }

  dynamic "tag" {
    for_each = merge(local._host_tags, { "rmu:managed-by" = "terraform" })
    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  # ELB health means nothing until a listener uses the target group.
  depends_on = [aws_lb_listener.front]
}
