# Leaving people and groups out of a modified Poisson model, and power, by base R and sandwich.
#   Rscript influence_jackknife_power.R      writes influence_jackknife_power_data.csv and influence_jackknife_power.csv
suppressPackageStartupMessages(library(sandwich))
set.seed(20250602)
n <- 160
d <- data.frame(age = round(rnorm(n, 55, 12), 1), sex = rbinom(n, 1, 0.55), area = sample(1:12, n, replace = TRUE))
d$stratum <- (d$area - 1) %/% 4 + 1                      # areas 1-4, 5-8, 9-12
d$walk <- round(pmax(5, rnorm(n, 100 - 0.4 * (d$age - 55), 30)), 1)
d$exposure <- as.integer(cut(d$walk, c(-Inf, quantile(d$walk, c(0.25, 0.5, 0.75)), Inf)))
d$weight <- round(runif(n, 0.5, 3), 2)
d$y <- rbinom(n, 1, pmin(0.9, 0.35 * exp(0.01 * (d$age - 55) - 0.2 * (d$exposure - 1) + 0.1 * d$sex)))
write.csv(d, "influence_jackknife_power_data.csv", row.names = FALSE)
d$exposure <- factor(d$exposure)

rows <- list()
say <- function(what, item, column, value) {
  rows[[length(rows) + 1]] <<- data.frame(what = what, item = item, column = column, value = format(value, digits = 17))
}
tight <- glm.control(epsilon = 1e-14, maxit = 100)
form <- y ~ exposure + age + sex
for (kind in c("plain", "weighted")) {
  w <- if (kind == "plain") rep(1, n) else d$weight
  fitted_without <- function(gone) {
    keep <- setdiff(seq_len(n), gone)
    dd <- d[keep, ]; dd$w <- w[keep]
    coef(suppressWarnings(glm(form, family = poisson, data = dd, weights = w, control = tight)))
  }
  d$w <- w
  fit <- suppressWarnings(glm(form, family = poisson, data = d, weights = w, control = tight))
  full <- coef(fit)
  for (k in seq_along(full)) say(paste0(kind, "_coefficient"), k - 1, names(full)[k], full[k])
  one_step_without <- function(i) {                             # one iteration from the whole sample's maximum
    dd <- d[-i, ]                                               # (R's dfbeta of a glm takes deviance residuals instead)
    suppressWarnings(glm(form, family = poisson, data = dd, weights = w, start = full, control = glm.control(maxit = 1)))$coef
  }
  cook <- cooks.distance(fit)
  for (i in seq_len(n)) {
    exact <- fitted_without(i) - full
    one <- one_step_without(i) - full
    for (k in 2:4) {
      say(paste0(kind, "_one_step"), i - 1, names(full)[k], one[k])
      say(paste0(kind, "_exact"), i - 1, names(full)[k], exact[k])
    }
    say(paste0(kind, "_cook"), i - 1, "", cook[i])
  }
  # JK1: every area left out in turn
  areas <- sort(unique(d$area)); G <- length(areas)
  left <- t(sapply(areas, function(a) fitted_without(which(d$area == a))))
  for (g in seq_len(G)) for (k in seq_along(full)) say(paste0(kind, "_without_area"), areas[g], names(full)[k], left[g, k])
  centred <- sweep(left, 2, colMeans(left))
  v <- (G - 1) / G * crossprod(centred)
  for (k in seq_along(full)) say(paste0(kind, "_jk1_se"), "", names(full)[k], sqrt(v[k, k]))
  # JKn: areas within strata, the others of the stratum weighted up
  total <- matrix(0, length(full), length(full))
  for (h in unique(d$stratum)) {
    mine <- sort(unique(d$area[d$stratum == h])); m <- length(mine)
    b <- t(sapply(mine, function(a) {
      ww <- w; ww[d$stratum == h] <- ww[d$stratum == h] * m / (m - 1); ww[d$area == a] <- 0
      dd <- d; dd$w <- ww
      coef(suppressWarnings(glm(form, family = poisson, data = dd[ww > 0, ], weights = w, control = tight)))
    }))
    total <- total + (m - 1) / m * crossprod(sweep(b, 2, colMeans(b)))
  }
  for (k in seq_along(full)) say(paste0(kind, "_jkn_se"), "", names(full)[k], sqrt(total[k, k]))
}

# Power of two groups without covariates: in closed form on the log scale, by power.prop.test (difference scale),
# and by a simulation of its own with glm and sandwich.
z <- qnorm(0.975)
for (rr in c(0.6, 0.7, 0.8, 1.25, 1.5)) {
  n1 <- 400; n0 <- 600; p0 <- 0.3; p1 <- p0 * rr
  se <- sqrt((1 - p1) / (n1 * p1) + (1 - p0) / (n0 * p0))
  say("closed_se", rr, "600/400", se)
  say("closed_power", rr, "600/400", pnorm(abs(log(rr)) / se - z) + pnorm(-abs(log(rr)) / se - z))
  say("prop_test_power", rr, "500/500", power.prop.test(n = 500, p1 = p0, p2 = p1)$power)
}
set.seed(7)
R <- 1500
for (rr in c(0.7, 0.8)) {
  x <- rep(0:1, c(600, 400))
  hit <- replicate(R, {
    y <- rbinom(1000, 1, 0.3 * rr^x)
    f <- suppressWarnings(glm(y ~ x, family = poisson))
    abs(coef(f)[2]) / sqrt(vcovHC(f, type = "HC0")[2, 2]) > z
  })
  say("simulated_power", rr, "600/400", mean(hit))
}
write.csv(do.call(rbind, rows), "influence_jackknife_power.csv", row.names = FALSE)
