# One environment, whole: production, staging and the local AWS are this root with other
# values. Every name rmu needs leaves through module ledger as an SSM parameter.

locals {
  _account  = data.aws_caller_identity.here.account_id
  _bucket   = "rmu-${var.environment}-ledger-${local._account}"
  _database = coalesce(var.database_identifier, "rmu-${var.environment}-db-1")
  _secret   = "arn:${data.aws_partition.here.partition}:ssm:${var.region}:${local._account}:parameter/rmu/${var.environment}"

  # What a restore has to ask for on the day when no instance is left to be asked.
  _settings = jsonencode(merge(
    { for name, value in var.database.size : name => value },
    {
      backup_window       = var.database.backup.window
      deletion_protection = var.deletion_protection
      maintenance_window  = var.database.backup.maintenance_window
      retention_days      = var.database.backup.retention_days
    },
  ))
}

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

module "network" {
  source = "../../modules/network"

  environment = var.environment
  cidr        = var.cidr
}

module "registry" {
  source = "../../modules/registry"

  environment         = var.environment
  deletion_protection = var.deletion_protection
}

module "access" {
  source = "../../modules/access"

  environment    = var.environment
  bucket         = local._bucket
  github         = var.github
  operators      = var.operators
  repository_arn = module.registry.repository_arn
}

module "web" {
  source = "../../modules/web"

  environment         = var.environment
  certificate_arn     = var.certificate_arn
  deletion_protection = var.deletion_protection
  forward_by_default  = length(var.edge.header_secrets) == 0
  host                = merge(var.host, { ami_id = var.ami_id, user_data_base64 = var.user_data_base64 })
  hosts               = var.hosts
  instance_profile    = module.access.instance_profile
  subnet_ids          = module.network.public_subnet_ids
  vpc_id              = module.network.vpc_id
}

module "database" {
  source = "../../modules/database"

  environment            = var.environment
  backup                 = var.database.backup
  deletion_protection    = var.deletion_protection
  host_security_group_id = module.web.host_security_group_id
  identifier             = local._database
  size                   = var.database.size
  subnet_ids             = module.network.private_subnet_ids
  vpc_id                 = module.network.vpc_id

  master_password = {
    parameter_arn = "${local._secret}/db/master_password"
    version       = var.database.password_version
  }
}

module "ledger" {
  source = "../../modules/ledger"

  environment         = var.environment
  bucket              = local._bucket
  deletion_protection = var.deletion_protection

  places = {
    alb_arn                   = module.web.balancer.arn
    alb_dns                   = module.web.balancer.dns
    asg                       = module.web.asg
    bucket                    = local._bucket
    dashboard                 = module.watch.dashboard
    database                  = module.database.identifier
    database_settings         = local._settings
    database_address          = module.database.address
    db_parameter_group        = module.database.parameter_group
    db_security_group         = module.database.security_group_id
    db_subnet_group           = module.database.subnet_group
    document_exec             = module.access.documents.exec
    document_host             = module.access.documents.host
    drill_db_security_group   = module.drill.security_groups.database
    drill_host_security_group = module.drill.security_groups.host
    drill_reminder            = module.drill.reminder
    drill_subnet              = module.network.public_subnet_ids[0]
    escalation_group          = module.watch.escalation.group
    escalation_role           = module.watch.escalation.role
    front_door                = var.front_door != "" ? var.front_door : module.web.front_door
    host_security_group       = module.web.host_security_group_id
    launch_template           = module.web.launch_template
    repository                = module.registry.repository
    slack                     = module.watch.slack
    table                     = "rmu-${var.environment}"
    target_group_arn          = module.web.target_group.arn
    topic_alerts              = module.watch.topics.alerts
    topic_critical            = module.watch.topics.critical
  }
}

# Named, not taken from their modules: what listens has to stand before there is news,
# or the first backup is told to nobody.
module "logs" {
  source = "../../modules/logs"

  environment = var.environment
  asg         = "rmu-${var.environment}-hosts"
  database    = local._database
}

module "watch" {
  source = "../../modules/watch"

  environment         = var.environment
  alarms              = var.alarms
  asg                 = module.web.asg
  balancer_suffix     = module.web.balancer.arn_suffix
  certificate_arn     = var.certificate_arn
  database            = module.database.identifier
  database_class      = var.database.size.instance_class
  instance_type       = var.host.instance_type
  slo_alarms          = var.slo_alarms
  target_group_suffix = module.web.target_group.arn_suffix
}

module "backup" {
  source = "../../modules/backup"

  environment = var.environment
  copy_to     = var.copies.region
}

module "copies" {
  source = "../../modules/copies"
  count  = var.copies.region != "" ? 1 : 0

  environment = var.environment
  images      = var.copies.images

  database = {
    arn            = module.database.arn
    retention_days = var.database.backup.retention_days
  }

  providers = {
    aws       = aws
    aws.there = aws.copies
  }
}

module "drill" {
  source = "../../modules/drill"

  environment = var.environment
  topic_arn   = module.watch.topics.alerts
  vpc_id      = module.network.vpc_id
}

module "rescue" {
  source = "../../modules/rescue"

  environment            = var.environment
  host_security_group_id = module.web.host_security_group_id
  subnet_id              = module.network.public_subnet_ids[0]
  vpc_id                 = module.network.vpc_id
}

module "edge" {
  source = "../../modules/edge"

  environment                = var.environment
  allowed_ranges             = var.edge.allowed_ranges
  balancer_security_group_id = module.web.balancer.security_group_id
  header_secrets             = var.edge.header_secrets
  listener_arn               = module.web.listener.arn
  ports                      = module.web.listener.ports
  target_group_arn           = module.web.target_group.arn
}
