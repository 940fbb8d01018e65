# Risks at a horizon: survfit (Kaplan-Meier, Aalen-Johansen), coxph predictions. Run: Rscript horizon_reference.R
# Writes horizon_reference_data.csv (simulated here) and horizon_reference.csv beside this script.
suppressPackageStartupMessages(library(survival))
set.seed(20240)
n <- 240
g <- sample(1:3, n, TRUE, c(.5, .3, .2)); x <- round(rnorm(n, 0.3 * (g == 2)), 3); z <- rbinom(n, 1, .4)
rate <- 0.10 * exp(0.5 * (g == 2) + 0.8 * (g == 3) + 0.4 * x - 0.3 * z)
t1 <- rexp(n, rate); t2 <- rexp(n, 0.06 * exp(0.2 * x)); cens <- runif(n, 2, 14)
time <- ceiling(4 * pmin(t1, t2, cens)) / 4 # ties of all kinds
cause <- ifelse(pmin(t1, t2) > cens, 0, ifelse(t1 < t2, 1, 2)); w <- round(runif(n, .5, 2), 2)
d <- data.frame(g, x, z, time, cause, w, cluster = rep(1:60, each = 4))
write.csv(d, "horizon_reference_data.csv", row.names = FALSE)
rows <- NULL
put <- function(what, level, estimate, std_error = NA, low = NA, high = NA)
  rows <<- rbind(rows, data.frame(what, level, estimate, std_error, low, high))
ids <- seq_len(n)
for (h in c(3, 6, 10)) {
  for (k in 1:3) {
    s <- d[d$g == k, ]
    a <- summary(survfit(Surv(time, cause > 0) ~ 1, s, conf.type = "log-log"), times = h)
    put(paste0("km_", h), k, 1 - a$surv, a$std.err, 1 - a$upper, 1 - a$lower)
    a <- summary(survfit(Surv(time, cause > 0) ~ 1, s, weights = w, robust = TRUE), times = h)
    put(paste0("km_weighted_", h), k, 1 - a$surv, a$std.err)
    a <- summary(survfit(Surv(time, cause > 0) ~ 1, s, cluster = cluster, robust = TRUE), times = h)
    put(paste0("km_cluster_", h), k, 1 - a$surv, a$std.err)
    a <- summary(survfit(Surv(time, factor(cause, 0:2)) ~ 1, s), times = h)
    put(paste0("aj_1_", h), k, a$pstate[2], a$std.err[2]); put(paste0("aj_2_", h), k, a$pstate[3], a$std.err[3])
    a <- summary(survfit(Surv(time, factor(cause, 0:2)) ~ 1, s, weights = w), times = h)
    put(paste0("aj_weighted_1_", h), k, a$pstate[2], a$std.err[2])
  }
  tight <- coxph.control(eps = 1e-14, iter.max = 50)
  fit <- coxph(Surv(time, cause == 1) ~ factor(g) + x + z, d, ties = "efron", control = tight)
  new <- data.frame(g = 1:3, x = 0.5, z = 1)
  a <- summary(survfit(fit, newdata = new), times = h)
  for (k in 1:3) put(paste0("cox_", h), k, 1 - a$surv[k], a$std.err[k])
  for (k in 1:3) { # mean over everyone
    a <- summary(survfit(fit, newdata = transform(d, g = k)), times = h)
    put(paste0("cox_mean_", h), k, mean(1 - a$surv))
  }
  fit <- coxph(Surv(time, cause == 1) ~ factor(g) + x + z, d, ties = "efron", weights = w, control = tight)
  for (k in 1:3) {
    a <- summary(survfit(fit, newdata = transform(d, g = k)), times = h)
    put(paste0("cox_weighted_mean_", h), k, weighted.mean(1 - a$surv, d$w))
  }
}
# a level without events: its people set aside
e <- d; e$cause[e$g == 3 & e$cause == 1] <- 0
fit <- coxph(Surv(time, cause == 1) ~ factor(g) + x + z, e[e$g != 3, ], control = coxph.control(eps = 1e-14))
v <- sqrt(diag(vcov(fit)))
for (i in 1:3) put("cox_without_events", i, coef(fit)[i], v[i])
rows[3:6] <- lapply(rows[3:6], function(v) sprintf("%.15g", v))
write.csv(rows, "horizon_reference.csv", row.names = FALSE, quote = FALSE)
cat(as.character(packageVersion("survival")), "\n")
