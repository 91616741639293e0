output "reminder" {
  description = "Name of the schedule that reminds; a drill moves it ahead."
  value       = aws_scheduler_schedule.reminder.name
}

output "reminder_role" {
  description = "ARN of the reminder's role: who moves the schedule passes it on."
  value       = aws_iam_role.reminder.arn
}

output "security_groups" {
  description = "Groups of the corner: the drill's host and the drill's database."
  value = {
    database = aws_security_group.database.id
    host     = aws_security_group.host.id
  }
}
