#!/usr/bin/env Rscript
# Fractional polynomials by brute force over powers, and Harrell's default knots where values are tied.
#   Rscript dose_response.R          reads models_data.csv and writes dose_response.csv beside itself
# R 4.2 with Hmisc and sandwich. One row is one number: model, term, statistic, value.
suppressPackageStartupMessages(library(sandwich))
options(digits = 15)
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)[1]))
d <- read.csv(file.path(here, "models_data.csv"))
rows <- list()
put <- function(model, term, statistic, value) {
  rows[[length(rows) + 1L]] <<- data.frame(model = model, term = term, statistic = statistic, value = as.numeric(value))
}
tight <- glm.control(epsilon = 1e-15, maxit = 100)

# ---- fractional polynomials of the dose, beside x and z: -2 log-likelihood of every model ------------------------
powers <- c(-2, -1, -0.5, 0, 0.5, 1, 2, 3)
u <- d$dose / 100
one <- function(p) if (p == 0) log(u) else u^p
two <- function(p, q) cbind(one(p), if (p == q) one(p) * log(u) else one(q))
for (family in c("poisson", "binomial")) {
  fit <- function(B) glm(if (is.null(B)) y ~ x + z else y ~ B + x + z, family = family, data = d, control = tight)
  deviance_of <- function(f) {
    mu <- fitted(f)
    -2 * sum(if (family == "poisson") d$y * log(mu) - mu else dbinom(d$y, 1, mu, log = TRUE))
  }
  put(family, "", "deviance", deviance_of(fit(NULL)))
  for (p in powers) put(family, format(p), "deviance", deviance_of(fit(one(p))))
  for (i in seq_along(powers)) for (j in i:length(powers)) {
    put(family, paste(powers[i], powers[j]), "deviance", deviance_of(fit(two(powers[i], powers[j]))))
  }
  # a curve with repeated powers against a dose of 60, HC0
  f <- fit(two(0.5, 0.5))
  at <- c(30, 60, 90, 150)
  w <- function(x) { v <- x / 100; cbind(v^0.5, v^0.5 * log(v)) }
  C <- w(at) - matrix(w(60), length(at), 2, byrow = TRUE)
  V <- vcovHC(f, type = "HC0")[2:3, 2:3]
  put(family, format(at), "curve", C %*% coef(f)[2:3])
  put(family, format(at), "curve_se", sqrt(rowSums((C %*% V) * C)))
}

# ---- Harrell's knots with ties at either end, in small samples, with few values ----------------------------------
tied <- list(
  zeros = pmax(d$dose - 50, 0), capped = pmin(d$dose, 90), both = pmin(pmax(d$dose - 45, 0), 60), inner = round(d$dose / 20),
  small = d$dose[1:60], small_zeros = pmax(d$dose[1:80] - 50, 0), few = round(d$x / 8), whole = round(d$x), heavy = pmax(d$dose - 75, 0)
)
for (name in names(tied)) for (k in 3:7) {
  t <- tryCatch(suppressWarnings(Hmisc::rcspline.eval(tied[[name]], nk = k, knots.only = TRUE)), error = function(e) NA)
  put(name, k, "knot", t)
}
write.csv(do.call(rbind, rows), file.path(here, "dose_response.csv"), row.names = FALSE, quote = FALSE)
