output "asg" {
  description = "Name of the hosts' auto scaling group."
  value       = aws_autoscaling_group.hosts.name
}

output "balancer" {
  description = "The load balancer: its ARN, the suffix CloudWatch names it by, its address and its security group."
  value = {
    arn               = aws_lb.this.arn
    arn_suffix        = aws_lb.this.arn_suffix
    dns               = aws_lb.this.dns_name
    security_group_id = aws_security_group.balancer.id
  }
}

output "front_door" {
  description = "URL of the load balancer itself."
  value       = "${local._https ? "https" : "http"}://${aws_lb.this.dns_name}"
}

output "host_security_group_id" {
  description = "Security group of the hosts."
  value       = aws_security_group.host.id
}

output "launch_template" {
  description = "Id of the hosts' launch template."
  value       = aws_launch_template.host.id
}

output "listener" {
  description = "The listener that serves people: its ARN, and the ports that must be open for it."
  value = {
    arn   = aws_lb_listener.front.arn
    ports = local._https ? [80, 443] : [80]
  }
}

output "target_group" {
  description = "The hosts' target group: its ARN and the suffix CloudWatch names it by."
  value = {
    arn        = aws_lb_target_group.hosts.arn
    arn_suffix = aws_lb_target_group.hosts.arn_suffix
  }
}
