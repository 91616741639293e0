locals {
  _name = "rmu-${var.environment}"
}

# ---- the corner: a host and a database that nobody reaches and that reach nobody

# Groups have no "deny", so the corner is what nobody admits: hosts let in the balancer
# alone, databases the hosts alone, and neither group here is either of them.
resource "aws_security_group" "host" {
  #checkov:skip=CKV2_AWS_5:rmu attaches it for the length of a drill; nothing stands here in between
  name        = "${local._name}-drill-host"
  description = "Host of a drill of ${local._name}: admits nobody"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-drill-host" }
}

resource "aws_security_group" "database" {
  #checkov:skip=CKV2_AWS_5:rmu attaches it for the length of a drill; nothing stands here in between
  name        = "${local._name}-drill-db"
  description = "Database of a drill of ${local._name}: admits the drill's host"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-drill-db" }
}

resource "aws_vpc_security_group_ingress_rule" "database_from_host" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL, from the drill's host alone"
  referenced_security_group_id = aws_security_group.host.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "host_to_database" {
  security_group_id            = aws_security_group.host.id
  description                  = "To the drill's database alone"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# SSM, the registry and package mirrors answer on public addresses; endpoints of our
# own for them would cost more than the database. Inside the VPC nobody listens for
# this group on either port.
resource "aws_vpc_security_group_egress_rule" "host_out" {
  for_each = { http = 80, https = 443 }

  security_group_id = aws_security_group.host.id
  description       = "Out by ${each.key}, to what AWS and Debian serve"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

# ---- the reminder: a quarter without a drill, then every week

data "aws_iam_policy_document" "reminder_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.here.account_id]
    }
  }
}

data "aws_caller_identity" "here" {}

data "aws_iam_policy_document" "reminder" {
  statement {
    actions   = ["sns:Publish"]
    resources = [var.topic_arn]
  }
}

resource "aws_iam_role" "reminder" {
  name               = "${local._name}-drill-reminder"
  description        = "Reminds of the drill of ${local._name}"
  assume_role_policy = data.aws_iam_policy_document.reminder_trust.json
}

resource "aws_iam_role_policy" "reminder" {
  name   = "publish"
  role   = aws_iam_role.reminder.id
  policy = data.aws_iam_policy_document.reminder.json
}

# Terraform owns that there is a reminder and whom it tells; when it begins is rmu's:
# each drill that ends well moves it a quarter ahead. Hence the one ignored attribute.
resource "aws_scheduler_schedule" "reminder" {
  #checkov:skip=CKV_AWS_297:the message holds no secret, and a key of one's own is a bill
  name                = "${local._name}-drill"
  description         = "A quarter has passed without a drill of ${local._name}"
  schedule_expression = "rate(7 days)"
  start_date          = timeadd(timestamp(), "${var.quarter_days * 24}h")

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.topic_arn
    role_arn = aws_iam_role.reminder.arn
    input    = "${local._name}-drill-overdue: No drill has ended well for ${var.quarter_days} days, so whether the backups can be restored is not known. severity: SEV-3. next: rmu dr drill --env ${var.environment}"
  }

  lifecycle {
    ignore_changes = [start_date]
  }
}
