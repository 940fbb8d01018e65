#!/usr/bin/env Rscript
# Models, variances and tests as R computes them, on a small simulated data set.
#   Rscript models.R          writes models_data.csv and models.csv beside itself
# R 4.2 with sandwich, survey and survival. One row of models.csv is one number: model, term, statistic, value.
suppressPackageStartupMessages({
  library(sandwich)
  library(survival)
  library(survey)
})
options(digits = 15)
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)[1]))

# ---- data: a four-level exposure, a continuous and a binary covariate, a survey design, clusters, tied follow-up ----
set.seed(20250612)
n <- 320
d <- data.frame(
  id = seq_len(n), g = sample(1:4, n, TRUE, c(0.35, 0.25, 0.2, 0.2)), x = round(rnorm(n, 50, 9), 1), z = rbinom(n, 1, 0.45)
)
d$dose <- round(20 * d$g + rgamma(n, 3, 0.15), 1)
risk <- exp(-1.9 + 0.10 * (d$g == 2) + 0.28 * (d$g == 3) - 0.2 * (d$g == 4) + 0.012 * (d$x - 50) + 0.35 * d$z)
d$y <- rbinom(n, 1, risk)
d$w <- round(runif(n, 0.4, 2.6), 2)
d$stratum <- rep(1:8, each = n / 8)
d$psu <- rep(rep(1:4, each = n / 32), 8) # numbered within stratum
d$cluster <- sample(1:60, n, TRUE)
d$keep <- as.integer(!(d$stratum == 3 & d$psu == 2) & d$x < 66) # one sampling unit has nobody in the domain
t <- rexp(n, 0.06 * exp(0.2 * (d$g == 3) - 0.3 * (d$g == 4) + 0.02 * (d$x - 50)))
d$time <- pmin(ceiling(2 * t) / 2, 12) # half years: many ties
d$event <- as.integer(2 * t <= 24)
write.csv(d, file.path(here, "models_data.csv"), row.names = FALSE, quote = FALSE)
d$g <- factor(d$g)

rows <- list()
put <- function(model, term, statistic, value) {
  rows[[length(rows) + 1L]] <<- data.frame(model = model, term = term, statistic = statistic, value = as.numeric(value))
}
put_se <- function(model, statistic, V) put(model, rownames(V), statistic, sqrt(diag(V)))
tight <- glm.control(epsilon = 1e-15, maxit = 100)

# ---- Poisson, logistic, log-binomial, with each variance ---------------------------------------------------------
robust <- function(model, fit) {
  put(model, names(coef(fit)), "coefficient", coef(fit))
  mu <- fitted(fit)
  by_row <- if (family(fit)$family == "poisson") dpois(d$y, mu, log = TRUE) else dbinom(d$y, 1, mu, log = TRUE)
  put(model, "", "log_likelihood", sum(weights(fit, "prior") * by_row))
  put_se(model, "model", vcov(fit))
  for (type in c("HC0", "HC1", "HC2", "HC3")) put_se(model, type, vcovHC(fit, type = type))
  put_se(model, "stata", vcovHC(fit, type = "HC0") * n / (n - 1))
  put_se(model, "cluster", vcovCL(fit, cluster = d$cluster, type = "HC0", cadjust = TRUE))
}
formula <- y ~ g + x + z
poisson_fit <- glm(formula, poisson, d, control = tight)
robust("poisson", poisson_fit)
robust("poisson_weighted", glm(formula, poisson, d, weights = w, control = tight))
robust("logistic", glm(formula, binomial, d, control = tight))
robust("logistic_weighted", suppressWarnings(glm(formula, binomial, d, weights = w, control = tight)))

start <- coef(poisson_fit)
start[1] <- start[1] - max(0, log(max(fitted(poisson_fit))) + 0.02)
log_binomial <- glm(formula, binomial("log"), d, start = start, control = tight)
put("log_binomial", names(coef(log_binomial)), "coefficient", coef(log_binomial))
put("log_binomial", "", "log_likelihood", logLik(log_binomial))
put("log_binomial", "", "max_fitted", max(fitted(log_binomial)))
X <- model.matrix(log_binomial)
mu <- fitted(log_binomial)
observed <- solve(crossprod(X * sqrt((1 - d$y) * mu / (1 - mu)^2))) # Stata's: the observed information
u <- X * ((d$y - mu) / (1 - mu))
put_se("log_binomial", "model", observed)
put_se("log_binomial", "HC0", observed %*% crossprod(u) %*% observed)
put_se("log_binomial", "stata", observed %*% crossprod(u) %*% observed * n / (n - 1))

# ---- survey design: the whole sample, and a domain that leaves a sampling unit empty --------------------------------
design <- svydesign(ids = ~psu, strata = ~stratum, weights = ~w, data = d, nest = TRUE)
survey_fit <- function(model, design) {
  fit <- svyglm(formula, design, family = quasipoisson(), control = tight)
  put(model, names(coef(fit)), "coefficient", coef(fit))
  put_se(model, "survey", vcov(fit))
}
survey_fit("survey", design)
survey_fit("survey_domain", subset(design, keep == 1))

# ---- Cox, Efron's ties ----------------------------------------------------------------------------------------------
cox_control <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
cox_formula <- Surv(time, event) ~ g + x + z
cox <- function(model, case_weight) {
  d$case_weight <- case_weight
  fit <- coxph(cox_formula, d, weights = case_weight, ties = "efron", control = cox_control, robust = TRUE)
  put(model, names(coef(fit)), "coefficient", coef(fit))
  put(model, names(coef(fit)), "model", sqrt(diag(fit$naive.var)))
  put(model, names(coef(fit)), "HC0", sqrt(diag(fit$var)))
  put(model, "", "log_likelihood", fit$loglik[2])
}
cox("cox", 1)
cox("cox_weighted", d$w)
svycox <- function(model, design) {
  fit <- svycoxph(cox_formula, design, control = cox_control)
  put(model, names(coef(fit)), "coefficient", coef(fit))
  put(model, names(coef(fit)), "survey", sqrt(diag(vcov(fit))))
}
svycox("cox_survey", design)
svycox("cox_survey_domain", subset(design, keep == 1))

# ---- interaction: likelihood ratio of plain Poisson, robust Wald ----------------------------------------------------
chi2 <- function(model, statistic, value, df) {
  put(model, statistic, "chi2", value)
  put(model, statistic, "df", df)
  put(model, statistic, "p_value", pchisq(value, df, lower.tail = FALSE))
}
with <- glm(y ~ g * z + x, poisson, d, control = tight)
chi2("interaction", "likelihood_ratio", deviance(poisson_fit) - deviance(with), df.residual(poisson_fit) - df.residual(with))
product <- grep(":", names(coef(with)))
for (type in c("HC0", "HC1")) {
  V <- vcovHC(with, type = type)[product, product]
  chi2("interaction", paste0("wald_", type), drop(coef(with)[product] %*% solve(V, coef(with)[product])), length(product))
}

# ---- trend: the median dose of each category as one linear term ----------------------------------------------------
d$score <- ave(d$dose, d$g, FUN = median)
trend <- glm(y ~ score + x + z, poisson, d, control = tight)
put("trend", "score", "coefficient", coef(trend)["score"])
put("trend", "score", "HC0", sqrt(vcovHC(trend, type = "HC0")["score", "score"]))

# ---- restricted cubic spline: the formula of rms::rcspline.eval (norm = 2), written out -----------------------------
rcs <- function(x, knots) {
  k <- length(knots)
  last <- knots[k]
  before <- knots[k - 1]
  cube <- function(t) pmax(x - t, 0)^3
  curved <- sapply(knots[seq_len(k - 2)], function(t) {
    (cube(t) + ((before - t) * cube(last) - (last - t) * cube(before)) / (last - before)) / (last - knots[1])^2
  })
  cbind(x, matrix(curved, nrow = length(x)))
}
for (k in 3:5) {
  at <- list(`3` = c(10, 50, 90), `4` = c(5, 35, 65, 95), `5` = c(5, 27.5, 50, 72.5, 95))[[as.character(k)]]
  model <- paste0("spline_", k)
  knots <- quantile(d$dose, at / 100, type = 2, names = FALSE)
  put(model, at, "knot", knots)
  S <- rcs(d$dose, knots)
  fit <- glm(d$y ~ S + d$x + d$z, poisson, control = tight)
  V <- vcovHC(fit, type = "HC0")
  s <- 1 + seq_len(k - 1)
  reference <- quantile(d$dose, 0.1, type = 2, names = FALSE)
  grid <- c(min(d$dose), 35, 60, 85, 110, max(d$dose))
  contrast <- sweep(rcs(grid, knots), 2, drop(rcs(reference, knots)))
  put(model, grid, "log_rr", contrast %*% coef(fit)[s])
  put(model, grid, "std_error", sqrt(rowSums((contrast %*% V[s, s]) * contrast)))
  curved <- s[-1]
  chi2(model, "nonlinear", drop(coef(fit)[curved] %*% solve(V[curved, curved], coef(fit)[curved])), k - 2)
}

out <- do.call(rbind, rows)
out$value <- sprintf("%.15g", out$value)
write.csv(out, file.path(here, "models.csv"), row.names = FALSE, quote = FALSE)
cat(nrow(out), "numbers,", sum(d$y), "with the outcome,", sum(d$event), "events, tied times:", sum(duplicated(d$time[d$event == 1])), "\n")
