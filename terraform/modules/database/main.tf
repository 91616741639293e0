locals {
  _name = "rmu-${var.environment}"
}

# Opened for the length of one apply, never written to a plan or a state.
ephemeral "aws_ssm_parameter" "master_password" {
  arn             = var.master_password.parameter_arn
  with_decryption = true
}

resource "aws_db_subnet_group" "this" {
  name        = "${local._name}-db"
  description = "Private subnets of ${local._name}"
  subnet_ids  = var.subnet_ids
}

# A restored database is given this group by name, or it would come up with the
# default one: no forced TLS and no commit timestamps to salvage by.
resource "aws_db_parameter_group" "this" {
  name        = "${local._name}-postgres17"
  family      = "postgres17"
  description = "PostgreSQL 17 of ${local._name}"

  dynamic "parameter" {
    for_each = {
      "log_lock_waits"             = ["1", "immediate"]
      "log_min_duration_statement" = ["1000", "immediate"]
      # The statement is enough: what people typed stays out of the log.
      "log_parameter_max_length" = ["0", "immediate"]
      "log_statement"            = ["ddl", "immediate"]
      "rds.force_ssl"            = ["1", "immediate"]
      "track_commit_timestamp"   = ["1", "pending-reboot"]
    }
    content {
      name         = parameter.key
      value        = parameter.value[0]
      apply_method = parameter.value[1]
    }
  }
}

resource "aws_security_group" "this" {
  name        = "${local._name}-db"
  description = "Databases of ${local._name}"
  vpc_id      = var.vpc_id

  tags = { Name = "${local._name}-db" }
}

resource "aws_vpc_security_group_ingress_rule" "from_hosts" {
  security_group_id            = aws_security_group.this.id
  description                  = "PostgreSQL, from the hosts alone"
  referenced_security_group_id = var.host_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "hosts_out" {
  security_group_id            = var.host_security_group_id
  description                  = "To the databases"
  referenced_security_group_id = aws_security_group.this.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

# RDS would make these itself, to be kept for ever. A restored instance has groups of
# its own name, which rmu makes with it: these stay what they are.
resource "aws_cloudwatch_log_group" "exports" {
  #checkov:skip=CKV_AWS_158:CloudWatch's own key encrypts it; statements are logged without their values
  #checkov:skip=CKV_AWS_338:lines serve incidents, not audits: who did what is in the ledger and in CloudTrail
  for_each = toset(["postgresql", "upgrade"])

  name              = "/aws/rds/instance/${var.identifier}/${each.value}"
  retention_in_days = 30

  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_db_instance" "this" {
  #checkov:skip=CKV2_AWS_69:rds.force_ssl = 1 stands in the parameter group, which checkov does not follow through dynamic blocks
  #checkov:skip=CKV_AWS_353:performance insights are not offered on db.t3.micro; slow statements are in the exported log
  #checkov:skip=CKV_AWS_161:an IAM token lives 15 minutes and pools live longer; passwords are in SSM and are today's at every start
  #checkov:skip=CKV_AWS_157:a standby doubles the price of the database; it is one value, database.size.multi_az
  #checkov:skip=CKV_AWS_118:enhanced monitoring is a bill for what the alarms on CPU and storage already say
  #checkov:skip=CKV_AWS_133:retention is 7 days or more, checked by the variable; checkov cannot read it through an object
  identifier = var.identifier

  engine                     = "postgres"
  engine_version             = "17"
  auto_minor_version_upgrade = true
  instance_class             = var.size.instance_class
  allocated_storage          = var.size.storage_gb
  max_allocated_storage      = var.size.storage_max_gb
  storage_type               = "gp3"
  storage_encrypted          = true
  multi_az                   = var.size.multi_az

  db_name             = "ratemyunit"
  username            = "rmu_master"
  password_wo         = ephemeral.aws_ssm_parameter.master_password.value
  password_wo_version = var.master_password.version

  db_subnet_group_name   = aws_db_subnet_group.this.name
  parameter_group_name   = aws_db_parameter_group.this.name
  vpc_security_group_ids = [aws_security_group.this.id]
  publicly_accessible    = false
  port                   = 5432

  # The windows must not overlap; retention 0 would end point-in-time restore.
  backup_retention_period  = var.backup.retention_days
  backup_window            = var.backup.window
  maintenance_window       = var.backup.maintenance_window
  copy_tags_to_snapshot    = true
  delete_automated_backups = false

  # A fixed name: one made from the clock would differ in every plan.
  skip_final_snapshot       = false
  final_snapshot_identifier = "${var.identifier}-final"
  deletion_protection       = var.deletion_protection

  enabled_cloudwatch_logs_exports = keys(aws_cloudwatch_log_group.exports)

  # No plan may destroy or replace it, whatever its values say. `rmu infra destroy`
  # takes this out of its own copy, after its own questions.
  lifecycle {
    prevent_destroy = true
  }
}
