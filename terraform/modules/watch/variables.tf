variable "alarms" {
  description = "How soon alarms speak (seconds between points), from where on, and to whom; the README says what each of these is."
  type = object({
    connections     = optional(number)
    daily_period    = optional(number, 3600)
    emails          = optional(list(string), [])
    liveness_period = optional(number, 60)
    oldest_job_s    = optional(number, 900)
    period          = optional(number, 300)
    silence_period  = optional(number, 120)
    slack_webhook   = optional(string, "")
  })
  default = {}

  validation {
    condition     = alltrue([for seconds in [var.alarms.daily_period, var.alarms.liveness_period, var.alarms.period, var.alarms.silence_period] : contains([10, 20, 30], seconds) || seconds % 60 == 0 && seconds > 0])
    error_message = "CloudWatch knows periods of 10, 20, 30 seconds and of whole minutes."
  }
}

variable "asg" {
  description = "The hosts' auto scaling group."
  type        = string
}

variable "balancer_suffix" {
  description = "What CloudWatch calls the balancer: the end of its ARN."
  type        = string
}

variable "certificate_arn" {
  description = "ACM certificate of the front door; empty watches none."
  type        = string
  default     = ""
}

variable "database" {
  description = "Identifier of the live database instance."
  type        = string
}

variable "database_class" {
  description = "Its instance class, whose memory says how many sessions it takes."
  type        = string
  default     = "db.t3.micro"

  validation {
    condition     = can(regex("^db\\.[a-z0-9-]+\\.[a-z0-9]+$", var.database_class))
    error_message = "An instance class is written db.t3.micro."
  }
}

variable "environment" {
  description = "Name of the environment; every resource is called rmu-ENVIRONMENT."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,15}$", var.environment))
    error_message = "An environment is 2 to 16 lower-case letters, digits or dashes, starting with a letter."
  }
}

variable "instance_type" {
  description = "Type of the hosts, which says what CPU they have without credits."
  type        = string
  default     = "t3.small"

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "An instance type is written t3.small."
  }
}

variable "slo_alarms" {
  description = "What `rmu slo compile` made of the objectives: windows are alarms that tell nobody, alarms are composites of them that do (any of these groups, all of its windows)."
  type = object({
    windows = optional(map(object({
      says   = string
      period = number
      queries = list(object({
        id         = string
        expression = optional(string)
        returns    = optional(bool, false)
        namespace  = optional(string)
        metric     = optional(string)
        stat       = optional(string, "Sum")
        of         = optional(string, "environment")
      }))
    })), {})
    alarms = optional(map(object({
      says     = string
      severity = string
      runbook  = string
      topic    = string
      any_of   = list(list(string))
    })), {})
  })
  default = {}

  validation {
    condition     = alltrue([for window in values(var.slo_alarms.windows) : alltrue([for query in window.queries : contains(["balancer", "environment", "targets"], query.of)])])
    error_message = "A query is of the balancer, the targets or the environment."
  }
}

variable "target_group_suffix" {
  description = "What CloudWatch calls the target group: the end of its ARN."
  type        = string
}
