variable "copy_to" {
  description = "Region that gets a copy of every image, kept as many days as images are; empty copies nothing."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([a-z]{2}(-[a-z]+)+-[0-9])?$", var.copy_to))
    error_message = "A region such as ap-southeast-4, or nothing."
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

variable "keep" {
  description = "How many images of a host are kept."
  type        = number
  default     = 7

  validation {
    condition     = var.keep >= 1 && var.keep <= 1000
    error_message = "Between 1 and 1000 images."
  }
}

variable "time" {
  description = "When the day's image is begun, within the hour after (UTC)."
  type        = string
  default     = "16:30"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.time))
    error_message = "A time of day such as 16:30."
  }
}
