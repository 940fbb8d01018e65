#!/usr/bin/env Rscript
# The reference study as an R user would compute it: stats::glm for every fit, sandwich for the robust covariance.
#   Rscript reference_study.R --in extract.csv|extract.csv.gz|extract.dta --out numbers.csv [--grid-every K] [--epsilon E]
# Kept here:
#   Rscript reference_study.R --in reference_study_extract.csv.gz --out reference_study.csv --grid-every 25 --epsilon 1e-14
# where reference_study_extract.csv.gz is 2,500 simulated rows (seed 11). --grid-every K writes every K-th point of the
# curves. --epsilon is glm's tolerance: 1e-10 leaves the last robust P values good to about 1e-6, 1e-14 more.
# A peer for timing and for numbers. Needs data.table and sandwich, and haven for a .dta extract.
# One row of numbers.csv is one number: analysis, exposure, stratum, level, model, variance, n, cases, term, estimate,
# std_error_log, conf_low, conf_high, p_value. A fit that two analyses share is made once.
suppressPackageStartupMessages({
  library(data.table)
  library(sandwich)
})
setDTthreads(1)

args <- commandArgs(trailingOnly = TRUE)
option <- function(name, default = NULL) {
  at <- match(paste0("--", name), args)
  if (is.na(at) && !is.null(default)) return(default)
  if (is.na(at) || at == length(args)) {
    stop("usage: Rscript reference_study.R --in extract.csv|extract.csv.gz|extract.dta --out numbers.csv [--grid-every K] [--epsilon E]", call. = FALSE)
  }
  args[at + 1]
}
path_in <- option("in")
path_out <- option("out")
grid_every <- as.integer(option("grid-every", "1"))
epsilon <- as.numeric(option("epsilon", "1e-10"))

cpu <- function() sum(proc.time()[c("user.self", "sys.self")])
clock <- c(start = cpu())

# ---- read -----------------------------------------------------------------------------------------------------------
BEHAVIOURS <- c("LyTm", "SitTm", "StandTm", "Walk1Tm", "Walk2Tm", "Walk3Tm", "WalkTm", "RunTm", "CyclTm")
DISEASES <- paste0(c("DiaEv", "CaEv", "CarAngEv", "CarInfEv", "CarFaiEv", "CarAtrFibrEv", "ApoplEv"), "_NT4BLQ1")
DATES <- c("PartDat_NT4BLM", "PartDat_NT4CovQ")
day_columns <- function(behaviour) paste0(behaviour, "D", 1:7, "_NT4ActMX")
columns <- c(
  "Sex", "PartAg_NT4BLM", DATES, "Bmi_NT4BLM", "BmiEld_NT4BLM", "Educ_NT4BLQ1", "IncoTot_NT4BLQ1", "WorCu_NT4BLI",
  "SmoStat_NT4BLQ1", "HADSDepr_NT4BLQ2", "MSPaLY_NT4BLQ2", "MSPaLum_NT4BLQ2", "MSPaLY_NT4CovQ", "MSPaLum_NT4CovQ",
  "Healt_NT4BLQ1", "MSPaChrL4W_NT4BLQ1", "MSPaLeiLim_NT4CovQ", DISEASES, unlist(lapply(BEHAVIOURS, day_columns))
)
raw <- if (grepl("\\.dta$", path_in)) {
  dta <- setDT(haven::read_dta(path_in, col_select = tidyselect::all_of(columns)))
  for (j in names(dta)) if (!is.null(attributes(dta[[j]])) && !j %in% DATES) set(dta, j = j, value = as.vector(unclass(dta[[j]])))
  dta
} else if (grepl("\\.gz$", path_in)) {
  fread(cmd = paste("gzip -dc", shQuote(path_in)), select = columns, na.strings = c("", "NA"))
} else {
  fread(path_in, select = columns, na.strings = c("", "NA"))
}
clock["read"] <- cpu()

# ---- derive ---------------------------------------------------------------------------------------------------------
derive <- function(raw) {
  day <- sapply(BEHAVIOURS, function(b) as.matrix(raw[, day_columns(b), with = FALSE]), simplify = FALSE)
  valid_days <- rowSums(Reduce(`|`, lapply(day[BEHAVIOURS != "WalkTm"], Negate(is.na))))
  zero <- which(day$LyTm == 0 | day$SitTm == 0 | day$StandTm == 0 | day$WalkTm == 0)
  for (b in c("Walk1Tm", "Walk2Tm", "Walk3Tm", "WalkTm")) day[[b]][zero] <- NA
  min_day <- lapply(day, function(m) rowMeans(m, na.rm = TRUE) / 60)
  site <- function(gate, lumbar) fifelse(is.na(gate), NA_integer_, fcoalesce(as.integer(lumbar), 0L))
  ill <- as.matrix(raw[, DISEASES, with = FALSE])
  raw[, .(
    valid_days, vdw = rowSums(!is.na(day$WalkTm)),
    vol = min_day$WalkTm,
    met = (2.8 * min_day$Walk1Tm + 3.8 * min_day$Walk2Tm + 4.8 * min_day$Walk3Tm) / min_day$WalkTm,
    runcyc = min_day$RunTm + min_day$CyclTm,
    age = as.numeric(PartAg_NT4BLM), age65 = factor(as.integer(PartAg_NT4BLM >= 65)), sex = factor(Sex),
    education = factor(Educ_NT4BLQ1), education3 = factor(c(1, 2, 2, 2, 3, 3)[Educ_NT4BLQ1]), income = factor(IncoTot_NT4BLQ1),
    work_status = factor(1 - WorCu_NT4BLI),
    smoking = factor(fcase(SmoStat_NT4BLQ1 == 0, 0, SmoStat_NT4BLQ1 %in% c(1, 4), 1, SmoStat_NT4BLQ1 %in% 2:3, 2)),
    depression = factor(as.integer(HADSDepr_NT4BLQ2 >= 7)), depression8 = factor(as.integer(HADSDepr_NT4BLQ2 >= 8)),
    msp_t0 = MSPaLY_NT4BLQ2, msp_t1 = MSPaLY_NT4CovQ,
    lbp_t0 = site(MSPaLY_NT4BLQ2, MSPaLum_NT4BLQ2), lbp_t1 = site(MSPaLY_NT4CovQ, MSPaLum_NT4CovQ),
    severe = as.integer(MSPaLum_NT4CovQ %in% 1 & MSPaLeiLim_NT4CovQ %in% 1),
    bmi = fcoalesce(as.numeric(Bmi_NT4BLM), as.numeric(BmiEld_NT4BLM)),
    pain4 = MSPaChrL4W_NT4BLQ1, health = Healt_NT4BLQ1,
    no_disease = rowSums(ill == 0) %in% 7, # NA or a yes among the seven: FALSE
    followup = as.numeric(as.IDate(PartDat_NT4CovQ) - as.IDate(PartDat_NT4BLM)) / 365
  )]
}
percentiles <- function(x, p) quantile(x, p, type = 2, na.rm = TRUE, names = FALSE)
CUTS <- c(0.25, 0.50, 0.75)
quarter <- function(x, cuts = percentiles(x, CUTS), left_open = TRUE) {
  factor(findInterval(x, cuts, left.open = left_open) + 1L, levels = 1:4)
}
second_basis <- function(x, k) {
  cube <- function(knot) pmax(x - knot, 0)^3
  (cube(k[1]) - (cube(k[2]) * (k[3] - k[1]) - cube(k[3]) * (k[2] - k[1])) / (k[3] - k[2])) / (k[3] - k[1])^2
}

people <- derive(raw)
rm(raw)
COVARIATES <- c("age", "sex", "education", "income", "work_status", "smoking", "depression")
steps <- people[, .(
  accelerometer_day = valid_days > 0, valid_walking_day = vdw > 0, baseline_pain_known = !is.na(msp_t0),
  no_baseline_lbp = !lbp_t0 %in% 1, followup_pain_known = !is.na(msp_t1), covariates_complete = complete.cases(.SD)
), .SDcols = COVARIATES]
kept <- Reduce(`&`, steps, accumulate = TRUE)
a <- people[kept[[6]]]
a[, `:=`(vq = quarter(vol), iq = quarter(met))]
a[, jq := factor((as.integer(vq) - 1L) * 4L + as.integer(iq), levels = 1:16)]
EXPOSURE <- c(vq = "volume", iq = "intensity", jq = "joint")
VALUE <- c(vq = "vol", iq = "met")
knots <- lapply(VALUE, function(x) percentiles(a[[x]], c(0.10, 0.50, 0.90)))
a[, `:=`(vol2 = second_basis(vol, knots$vq), met2 = second_basis(met, knots$iq))]
clock["derive"] <- cpu()

# ---- fits -----------------------------------------------------------------------------------------------------------
Z <- qnorm(0.975)
n_fits <- 0L
rows <- list()
add <- function(analysis, ...) rows[[length(rows) + 1L]] <<- data.table(analysis = analysis, ...)

keep_fit <- function(fit) {
  n_fits <<- n_fits + 1L
  n <- nobs(fit)
  hc0 <- sandwich(fit)
  list(b = coef(fit), V = list(stata = hc0 * n / (n - 1), hc0 = hc0), ll = as.numeric(logLik(fit)), rank = fit$rank, n = n,
       cases = sum(fit$y), max_fitted = max(fit$fitted.values), converged = fit$converged)
}
poisson_fit <- function(data, terms, outcome = "lbp_t1") {
  keep_fit(glm(reformulate(terms, outcome), family = poisson(), data = data, model = FALSE, x = TRUE, epsilon = epsilon, maxit = 100))
}
estimate_ci <- function(b, se, back = exp) {
  list(estimate = back(b), std_error_log = se, conf_low = back(b - Z * se), conf_high = back(b + Z * se), p_value = 2 * pnorm(-abs(b / se)))
}
std_errors <- function(V, b) sqrt(diag(V))[names(b)] # NA where a column was aliased
level_name <- function(v, l) if (v == "jq") sprintf("V%dI%d", (l - 1L) %/% 4L + 1L, (l - 1L) %% 4L + 1L) else paste0("Q", l)
add_ratios <- function(analysis, v, model, fit, data, stratum = "", outcome = "lbp_t1") {
  count <- data[!is.na(get(v)), .(n = .N, cases = sum(get(outcome))), keyby = c(v)]
  level <- as.integer(as.character(count[[v]]))
  beta <- setNames(fit$b[paste0(v, level)], paste0(v, level))
  beta[count$cases == 0 | count$cases[1] == 0] <- NA
  for (variance in names(fit$V)) {
    ratio <- estimate_ci(beta, std_errors(fit$V[[variance]], beta))
    ratio$estimate[1] <- 1
    do.call(add, c(list(analysis, exposure = EXPOSURE[[v]], stratum = stratum, level = level_name(v, level), model = model,
                        variance = variance, n = count$n, cases = count$cases, term = "rr"), ratio))
  }
  add(analysis, exposure = EXPOSURE[[v]], stratum = stratum, model = model, n = fit$n, cases = fit$cases, term = "loglik", estimate = fit$ll)
}
fit_ratios <- function(analysis, v, models, data, stratum = "", outcome = "lbp_t1") {
  fits <- lapply(models, function(covariates) poisson_fit(data, c(v, covariates), outcome))
  for (m in names(models)) add_ratios(analysis, v, m, fits[[m]], data, stratum, outcome)
  invisible(fits)
}
add_cuts <- function(analysis, v, x) {
  add(analysis, exposure = EXPOSURE[[v]], level = c("p25", "p50", "p75"), n = sum(!is.na(x)), term = "cut_point", estimate = percentiles(x, CUTS))
}

# flow, cut points, table 1
remaining <- c(nrow(people), vapply(kept, sum, 0L))
add("flow", level = paste0(0:6, "_", c("start", names(steps))), n = remaining, term = "remaining", estimate = remaining)
add("flow", level = paste0(1:6, "_", names(steps)), n = remaining[-1], term = "excluded", estimate = -diff(remaining))
add("flow", level = c("cases", "risk"), n = nrow(a), cases = sum(a$lbp_t1), term = c("cases", "risk"), estimate = c(sum(a$lbp_t1), mean(a$lbp_t1)))
add("flow", level = "followup_years", n = sum(!is.na(a$followup)), term = c("mean", "sd"),
    estimate = c(mean(a$followup, na.rm = TRUE), sd(a$followup, na.rm = TRUE)))
for (v in names(VALUE)) add_cuts("cutpoints", v, a[[VALUE[[v]]]])

group <- rep(c(paste0("Q", a$vq), rep("Total", nrow(a))))
both <- rbind(a, a)
size <- both[, .(n = .N, cases = sum(lbp_t1)), keyby = .(g = group)]
add("table1", exposure = "vq", stratum = size$g, level = "participants", n = size$n, cases = size$cases, term = "count", estimate = size$n)
for (v in c("age", "vdw", "met")) {
  s <- both[, .(n = sum(!is.na(x <- get(v))), mean = mean(x, na.rm = TRUE), sd = sd(x, na.rm = TRUE)), keyby = .(g = group)]
  for (term in c("mean", "sd")) add("table1", exposure = "vq", stratum = s$g, level = v, n = s$n, term = term, estimate = s[[term]])
}
for (v in c("sex", "education3", "income", "work_status", "smoking", "depression", "education")) {
  cell <- as.data.table(table(g = group, level = both[[v]]))[, n := sum(N), by = g]
  for (term in c("count", "pct")) {
    add("table1", exposure = "vq", stratum = cell$g, level = paste0(v, "=", cell$level), n = cell$n, term = term,
        estimate = if (term == "count") cell$N else 100 * cell$N / cell$n)
  }
}
rm(both)

# main and joint; mutual (its age model is the main one)
AGE_MULTI <- list(age = "age", multi = COVARIATES)
MODELS <- c(list(crude = character(0)), AGE_MULTI)
main <- sapply(names(EXPOSURE), function(v) fit_ratios("main", v, MODELS, a), simplify = FALSE)
for (v in names(VALUE)) {
  add_ratios("mutual", v, "age", main[[v]]$age, a)
  fit_ratios("mutual", v, list(multi_mutual = c(COVARIATES, VALUE[[setdiff(names(VALUE), v)]])), a)
}

# strata, quartiles as they are
for (v in names(VALUE)) {
  for (g in 0:1) fit_ratios("strat_age", v, AGE_MULTI, a[age65 == g], c("<65", ">=65")[g + 1])
  for (g in 0:1) fit_ratios("strat_sex", v, list(age = "age", multi = setdiff(COVARIATES, "sex")), a[sex == g], c("female", "male")[g + 1])
}
for (g in 1:4) fit_ratios("strat_intensity", "vq", AGE_MULTI, a[iq == g], paste0("intensity_Q", g))

# interaction: likelihood ratio of plain Poisson models, robust Wald, ratios of risk ratios
wald <- function(b, V) {
  chi2 <- drop(b %*% solve(V, b))
  list(estimate = chi2, p_value = pchisq(chi2, length(b), lower.tail = FALSE))
}
interaction_rows <- function(analysis, v, modifier, covariates, without = poisson_fit(a, unique(c(v, modifier, covariates)))) {
  with <- poisson_fit(a, unique(c(v, modifier, covariates, paste0(v, ":", modifier))))
  cells <- CJ(m = levels(a[[modifier]])[-1], q = 2:4)
  k <- cells[, setNames(paste0(v, q, ":", modifier, m), paste0(v, "_", q, ":", modifier, "_", m))]
  k <- k[!is.na(with$b[k])]
  lr <- 2 * (with$ll - without$ll)
  df <- with$rank - without$rank
  put <- function(...) add(analysis, exposure = EXPOSURE[[v]], stratum = modifier, model = "multi", n = with$n, cases = with$cases, ...)
  put(variance = "model", term = c("lr_chi2", "lr_df", "loglik_without", "loglik_with"), estimate = c(lr, df, without$ll, with$ll),
      p_value = c(pchisq(lr, df, lower.tail = FALSE), NA, NA, NA))
  for (variance in names(with$V)) {
    V <- with$V[[variance]][k, k]
    do.call(put, c(list(variance = variance, term = "robust_wald_chi2"), wald(with$b[k], V)))
    do.call(put, c(list(level = names(k), variance = variance, term = "ratio_of_rr"), estimate_ci(with$b[k], sqrt(diag(V)))))
  }
}
for (v in names(VALUE)) {
  id <- if (v == "vq") "interaction" else "x_interaction"
  interaction_rows(id, v, "age65", setdiff(COVARIATES, "age"))
  interaction_rows(id, v, "sex", COVARIATES, without = main[[v]]$multi)
}
interaction_rows("x_interaction", "vq", "iq", COVARIATES)

# restricted cubic splines, reference the 10th percentile; the mutual model holds both splines, so one fit serves both curves
GRID_STEP <- c(vq = 0.25, iq = 0.01)
curve_rows <- function(analysis, v, model, fit) {
  put <- function(...) add(analysis, exposure = EXPOSURE[[v]], model = model, n = fit$n, cases = fit$cases, ...)
  x <- VALUE[[v]]
  k <- knots[[v]]
  s <- c(x, paste0(x, "2"))
  range_x <- range(a[[x]], na.rm = TRUE)
  grid <- seq(range_x[1], range_x[2], by = GRID_STEP[[v]])
  put(term = "grid_points", estimate = length(grid))
  grid <- grid[seq(1, length(grid), by = grid_every)]
  contrast <- cbind(grid - k[1], second_basis(grid, k) - second_basis(k[1], k))
  log_rr <- drop(contrast %*% fit$b[s])
  put(level = paste0("k", 1:3), term = "knot", estimate = k)
  put(term = "loglik", estimate = fit$ll)
  for (variance in names(fit$V)) {
    V <- fit$V[[variance]][s, s]
    coefs <- estimate_ci(fit$b[s], sqrt(diag(V)), identity)[c("estimate", "std_error_log", "p_value")]
    do.call(put, c(list(level = c("s1", "s2"), variance = variance, term = "coef"), coefs))
    put(level = "s1:s2", variance = variance, term = "covariance", estimate = V[1, 2])
    do.call(put, c(list(variance = variance, term = "wald_overall_chi2"), wald(fit$b[s], V)))
    do.call(put, c(list(variance = variance, term = "wald_nonlinear_chi2"), wald(fit$b[s[2]], V[2, 2])))
    se <- sqrt(rowSums((contrast %*% V) * contrast))
    do.call(put, c(list(level = sprintf("%.15g", grid), variance = variance, term = "rr_grid"), estimate_ci(log_rr, se)))
  }
}
for (v in names(VALUE)) curve_rows("rcs", v, "multi", poisson_fit(a, c(COVARIATES, VALUE[[v]], paste0(VALUE[[v]], "2"))))
spline_mutual <- poisson_fit(a, c(COVARIATES, "vol", "vol2", "met", "met2"))
for (v in names(VALUE)) curve_rows("rcs_mutual", v, "multi_mutual", spline_mutual)

# trend
for (v in names(VALUE)) {
  x <- a[[VALUE[[v]]]]
  terms <- list(quartile_median = as.vector(tapply(x, a[[v]], median))[a[[v]]], quartile_score = as.integer(a[[v]]), continuous = x)
  for (level in names(terms)) for (model in names(AGE_MULTI)) {
    a[, trend_term := terms[[level]]]
    fit <- poisson_fit(a, c("trend_term", AGE_MULTI[[model]]))
    b <- fit$b["trend_term"]
    for (variance in names(fit$V)) {
      do.call(add, c(list("trend", exposure = EXPOSURE[[v]], level = level, model = model, variance = variance, n = fit$n, cases = fit$cases,
                          term = "log_rr_per_unit"), estimate_ci(b, std_errors(fit$V[[variance]], b), identity)))
    }
  }
}

# sensitivity: quartiles cut again in what is left (sens2 leaves everybody, so its age models are the main ones)
SENSITIVITY <- list(
  sens1_bmi = list(keep = quote(!is.na(bmi)), extra = "bmi"), sens2_other_pa = list(keep = TRUE, extra = "runcyc"),
  sens3_four_days = list(keep = quote(vdw >= 4)), sens4_no_msp = list(keep = quote(msp_t0 == 0)),
  sens5_pain_below_moderate = list(keep = quote(pain4 < 4)), sens6_good_health = list(keep = quote(is.na(health) | health > 2)),
  sens6b_good_health_known = list(keep = quote(health > 2)), sens7_no_disease = list(keep = quote(no_disease)),
  sens8_severe = list(keep = TRUE, outcome = "severe")
)
for (id in names(SENSITIVITY)) {
  s <- SENSITIVITY[[id]]
  keep <- a[, eval(s$keep)]
  restricted <- a[which(rep_len(keep, nrow(a)))]
  restricted[, `:=`(vq = quarter(vol), iq = quarter(met))]
  outcome <- if (is.null(s$outcome)) "lbp_t1" else s$outcome
  for (v in names(VALUE)) {
    add_cuts(id, v, restricted[[VALUE[[v]]]])
    models <- list(age = "age", multi = c(COVARIATES, s$extra))
    if (id == "sens2_other_pa") {
      add_ratios(id, v, "age", main[[v]]$age, restricted)
      models$age <- NULL
    }
    fit_ratios(id, v, models, restricted, outcome = outcome)
  }
}

# E-values of the multi-adjusted ratios; 1.96 as published
e_value <- function(rr) {
  rr <- pmax(rr, 1 / rr)
  rr + sqrt(rr * (rr - 1))
}
for (v in names(EXPOSURE)) {
  fit <- main[[v]]$multi
  b <- fit$b[grep(paste0("^", v), names(fit$b))]
  for (variance in names(fit$V)) {
    se <- std_errors(fit$V[[variance]], b)
    low <- exp(b - 1.96 * se)
    high <- exp(b + 1.96 * se)
    put <- function(term, estimate) {
      add("evalue", exposure = EXPOSURE[[v]], level = level_name(v, as.integer(sub(v, "", names(b)))), model = "multi",
          variance = variance, n = fit$n, cases = fit$cases, term = term, estimate = estimate)
    }
    put("evalue_point", e_value(exp(b)))
    put("evalue_ci", fifelse(low <= 1 & high >= 1, 1, e_value(fifelse(b <= 0, high, low))))
    put("shown_by_published_rule", as.integer(b < 0 & high < 1))
  }
}

# extras: published limits, HADS-D of 8 or more, log-binomial
fixed <- copy(a)[, `:=`(vq = quarter(vol, c(78, 101, 125), FALSE), iq = quarter(met, c(3.00, 3.12, 3.27), FALSE))]
for (v in names(VALUE)) fit_ratios("x_fixed_cuts", v, MODELS, fixed)
for (v in names(VALUE)) fit_ratios("x_hads8", v, list(multi = sub("^depression$", "depression8", COVARIATES)), a)

log_binomial <- function(terms, start) {
  # Fisher scoring is only linear here (the link is not canonical), hence the tighter tolerance
  start$b[1] <- start$b[1] - max(0, log(start$max_fitted) + 0.02)
  fit <- glm(reformulate(terms, "lbp_t1"), family = binomial("log"), data = a, start = start$b, model = FALSE, x = TRUE, epsilon = 1e-14, maxit = 100)
  kept <- keep_fit(fit)
  kept$V <- list(eim = vcov(fit), hc0_eim = kept$V$hc0)
  kept
}
for (v in names(VALUE)) for (model in names(MODELS)) {
  fit <- tryCatch(log_binomial(c(v, MODELS[[model]]), main[[v]][[model]]), error = function(e) NULL)
  if (is.null(fit) || !fit$converged) {
    add("logbin", exposure = EXPOSURE[[v]], model = model, term = "not_converged", estimate = 1)
    next
  }
  add_ratios("logbin", v, model, fit, a)
  add("logbin", exposure = EXPOSURE[[v]], model = model, n = fit$n, cases = fit$cases, term = "max_fitted", estimate = fit$max_fitted)
}
clock["fits"] <- cpu()

# ---- write ----------------------------------------------------------------------------------------------------------
HEADER <- c("analysis", "exposure", "stratum", "level", "model", "variance", "n", "cases", "term",
            "estimate", "std_error_log", "conf_low", "conf_high", "p_value")
numbers <- rbindlist(rows, use.names = TRUE, fill = TRUE)
fwrite(numbers[, HEADER, with = FALSE], path_out, quote = FALSE, na = "")
clock["write"] <- cpu()

cat(sprintf("%d rows, %d people, %d cases, %d fits\n", nrow(numbers), nrow(a), sum(a$lbp_t1), n_fits))
cat(sprintf("cpu_s %s\n", paste(names(clock), sprintf("%.2f", c(clock[1], diff(clock))), collapse = " ")))
cat(sprintf("cpu_s total %.2f\n", clock[["write"]]))
