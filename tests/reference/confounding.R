# Witnesses of sensitivity/confounding*.py, as confounding.csv: Rscript confounding.R TIPR_R_FOLDER > confounding.csv
# tipr 0.2.0 (commit 623e5c2): observed_covariate_e_value. base + sandwich: refits with a column and with weights.
suppressPackageStartupMessages(library(sandwich))
args <- commandArgs(TRUE)
stop_glue <- function(...) stop(...)
for (f in c("tip-helpers.R", "observed_covariate_e_value.R")) source(file.path(args[1], f))
out <- data.frame()
add <- function(what, item, value) out <<- rbind(out, data.frame(what = what, item = item, value = sprintf("%.17g", value)))

pairs <- list(c(0.6, 0.9, 0.5, 0.95), c(0.6, 0.9, 0.55, 0.85), c(1.2, 2.4, 1.1, 2.2), c(1.2, 2.4, 1.3, 2.6), c(0.4, 0.7, 0.6, 1.1))
for (i in seq_along(pairs)) {
  p <- pairs[[i]]
  add("tipr_RR", i, observed_covariate_e_value(p[1], p[2], p[3], p[4]))
  add("tipr_HR", i, observed_covariate_e_value(p[1], p[2], p[3], p[4], transform = "HR"))
}

# A cohort of 600: three levels, two covariates, everyone's U by a rule that any program can follow.
n <- 600; i <- seq_len(n)
e <- i %% 3; sex <- (i %/% 3) %% 2; age <- 30 + (i * 7) %% 50
u <- as.numeric((i * 13) %% 10 < 2 + 2 * e)
y <- as.numeric((i * 31) %% 100 < 12 + 6 * e + 10 * u + 5 * sex)
s <- 0.9 - 0.1 * e - 0.15 * y
fits <- list(
  without = glm(y ~ factor(e) + sex + age, family = poisson, control = list(epsilon = 1e-14)),
  column = glm(y ~ factor(e) + sex + age + u, family = poisson, control = list(epsilon = 1e-14)),
  weighted = glm(y ~ factor(e) + sex + age, family = poisson, weights = 1 / s, control = list(epsilon = 1e-14)))
for (name in names(fits)) {
  b <- coef(fits[[name]]); v <- vcovHC(fits[[name]], type = "HC0")
  add(name, "log_1", b[["factor(e)1"]]); add(name, "log_2", b[["factor(e)2"]])
  add(name, "var_1", v["factor(e)1", "factor(e)1"]); add(name, "var_2", v["factor(e)2", "factor(e)2"])
  add(name, "cov_12", v["factor(e)1", "factor(e)2"])
  if (name == "column") add(name, "log_u", b[["u"]])
}
write.csv(out, row.names = FALSE, quote = FALSE)
