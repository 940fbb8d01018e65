# Univariate imputations of R's mice on one data set, over many draws: the witness of walkrisk.sensitivity.imputation.
# Writes imputation_data.csv (the data, holes empty) and imputation.csv: for every target and every missing person the
# mean and standard deviation over draws of what was imputed (of the indicator of each level for factors), and, in rows
# with person 0, those of the mean over missing people. mice's polr and polyreg do not draw parameters.
suppressPackageStartupMessages(library(mice))
set.seed(20261130)
n <- 300
x1 <- rnorm(n); x2 <- rbinom(n, 1, 0.4); x3 <- sample(0:2, n, TRUE, c(0.5, 0.3, 0.2))
eta <- 0.6 * x1 - 0.5 * x2 + 0.4 * (x3 == 1) - 0.3 * (x3 == 2)
amount <- 10 + 2 * eta + rnorm(n, sd = 2)
skewed <- round(exp(1 + 0.4 * eta + rnorm(n, sd = 0.5)), 2)
yes <- rbinom(n, 1, plogis(eta))
grade <- as.integer(cut(eta + rlogis(n), c(-Inf, -1, 0.3, 1.5, Inf)))
kind <- apply(cbind(rep(0, n), 0.8 * eta, -0.3 - 0.6 * eta) - log(-log(matrix(runif(3 * n), n))), 1, which.max)
d <- data.frame(x1, x2, x3, amount, skewed, yes, grade, kind)
for (name in c("amount", "skewed", "yes", "grade", "kind")) d[runif(n) < plogis(-1.1 + 0.7 * x1 + 0.4 * x2), name] <- NA
d <- signif(d, 8)
write.csv(d, "imputation_data.csv", row.names = FALSE, quote = FALSE, na = "")
x <- cbind(d$x1, d$x2, d$x3 == 1, d$x3 == 2)
colnames(x) <- c("x1", "x2", "a", "b")
draws <- 2000
summarise <- function(target, level, made) {  # made: missing people x draws
  people <- which(is.na(d[[target]]))
  m <- colMeans(made)
  rbind(data.frame(target, level, person = 0, mean = mean(m), sd = sd(m), draws = ncol(made)),
        data.frame(target, level, person = people, mean = rowMeans(made), sd = apply(made, 1, sd), draws = ncol(made)))
}
many <- function(f, target, as = identity) {
  y <- as(d[[target]]); ry <- !is.na(y)
  replicate(draws, as.numeric(as.character(f(y, ry, x))))
}
out <- list(
  summarise("amount", "", many(mice.impute.norm, "amount")),
  summarise("skewed", "", many(mice.impute.pmm, "skewed")),
  summarise("yes", "1", many(mice.impute.logreg, "yes", factor))
)
g <- many(mice.impute.polr, "grade", ordered)
for (k in 1:4) out <- c(out, list(summarise("grade", k, (g == k) + 0)))
g <- many(mice.impute.polyreg, "kind", factor)
for (k in 1:3) out <- c(out, list(summarise("kind", k, (g == k) + 0)))
out <- do.call(rbind, out)
out$mean <- signif(out$mean, 8); out$sd <- signif(out$sd, 8)
write.csv(out, "imputation.csv", row.names = FALSE, quote = FALSE)
cat(R.version.string, "mice", as.character(packageVersion("mice")), "\n")
