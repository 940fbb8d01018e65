# Standardised mean differences between groups, in base R: of a number, of a 0/1 variable, of categories (the
# Mahalanobis distance of Yang and Dalton 2012), every pair of groups and the largest. From tests/reference:
#   Rscript standardised_differences.R
# writes standardised_differences_data.csv and standardised_differences.csv. Base R only; the data are drawn here.
set.seed(11)
n <- 400
group <- sample(c("a", "b", "c"), n, replace = TRUE, prob = c(0.5, 0.3, 0.2))
shift <- c(a = 0, b = 0.3, c = -0.5)[group]
data <- data.frame(
  group = group,
  age = round(55 + 12 * (rnorm(n) + shift), 1),
  sex = as.integer(runif(n) < plogis(0.2 + shift)),
  smoking = sapply(shift, function(s) sample(0:2, 1, prob = c(0.5, 0.3 + s / 4, 0.2))),
  income = sapply(shift, function(s) sample(1:5, 1, prob = exp(s * (1:5) / 3)))
)
data$age[sample(n, 20)] <- NA
data$smoking[sample(n, 30)] <- NA
data$income[data$group == "c" & data$income == 5] <- 4  # a category that one group does not have

number <- function(x, y) {
  abs(mean(x, na.rm = TRUE) - mean(y, na.rm = TRUE)) / sqrt((var(x, na.rm = TRUE) + var(y, na.rm = TRUE)) / 2)
}
categories <- function(x, y, levels) {
  p <- prop.table(table(factor(x, levels)))[-1]
  q <- prop.table(table(factor(y, levels)))[-1]
  s <- (diag(p, nrow = length(p)) - p %o% p + diag(q, nrow = length(q)) - q %o% q) / 2
  sqrt(drop(t(p - q) %*% solve(s) %*% (p - q)))
}
binary <- function(x, y) {
  p <- mean(x); q <- mean(y)
  abs(p - q) / sqrt((p * (1 - p) + q * (1 - q)) / 2)
}
of <- list(
  age = number,
  sex = binary,
  smoking = function(x, y) categories(x, y, 0:2),
  income = function(x, y) categories(x, y, 1:5)
)
pairs <- list(c("a", "b"), c("a", "c"), c("b", "c"))
rows <- do.call(rbind, lapply(names(of), function(v) {
  value <- sapply(pairs, function(g) of[[v]](data[data$group == g[1], v], data[data$group == g[2], v]))
  data.frame(variable = v, groups = c(sapply(pairs, paste, collapse = "-"), "largest", "mean"),
             smd = format(c(value, max(value), mean(value)), digits = 17))
}))
write.csv(data, "standardised_differences_data.csv", row.names = FALSE, na = "", quote = FALSE)
write.csv(rows, "standardised_differences.csv", row.names = FALSE, quote = FALSE)
