/*
 * ctr_model.h
 *		A click model: what is in its container, and rows scored by it.
 *
 *		schema		columns and dictionaries (pm_schema.h)
 *		layout		columns to fields (layout.h)
 *		algorithm	int32, a CtrAlgorithm
 *		scalars		float64, CTR_SCALAR_COUNT
 *		log			float64, one row a PmCtrLogEntry, without its seconds
 *		isotonic	float64, thresholds and values; with that calibration
 *
 *		logistic	coefficients float64; std_errors float64, intercept first
 *					and of the columns as they are (NAN where there is none),
 *					of an unpenalised fit
 *		ftrl		slots int32, states float32 (z and n): those in use
 *		fm, fwfm	linear, factors, pairs (fwfm) float32; steps int64; moments1
 *					(adam), moments2 float32
 */
#ifndef CTR_MODEL_H
#define CTR_MODEL_H

#include "ftrl.h"
#include "layout.h"
#include "pm_model.h"

#define PM_CTR_KIND "ctr"

typedef enum CtrAlgorithm
{
	CTR_LOGISTIC,
	CTR_FTRL,
	CTR_FM,
	CTR_FWFM
} CtrAlgorithm;

typedef enum CtrCalibration
{
	CTR_UNCALIBRATED,
	CTR_PLATT,
	CTR_ISOTONIC
} CtrCalibration;

typedef enum CtrScalar
{
	CTR_INTERCEPT,
	CTR_NEGATIVE_RATE,			/* share of the negatives that were kept */
	CTR_CALIBRATION,			/* a CtrCalibration */
	CTR_PLATT_SLOPE,
	CTR_PLATT_SHIFT,
	CTR_OPTIMIZER,				/* fm, fwfm: a PmFmOptimizer */
	CTR_FTRL_ALPHA,
	CTR_FTRL_BETA,
	CTR_FTRL_L1,
	CTR_FTRL_L2,
	CTR_FTRL_INTERCEPT_Z,
	CTR_FTRL_INTERCEPT_N,
	CTR_SCALAR_COUNT
} CtrScalar;

#define CTR_LOG_COLUMNS 4

typedef struct CtrModel
{
	PmSchema   *schema;
	CtrLayout	layout;
	CtrAlgorithm algorithm;
	double		scalars[CTR_SCALAR_COUNT];
	const double *log;			/* log_count * CTR_LOG_COLUMNS */
	int64_t		log_count;
	int32_t		isotonic_count;
	const double *isotonic_thresholds;
	const double *isotonic_values;

	double		intercept;
	const double *coefficients; /* logistic */
	const double *std_errors;	/* logistic; NULL = none */
	Ftrl		ftrl;
	PmFm		fm;
} CtrModel;

/* Check what an opened container holds; *model is a CtrModel. */
extern PmStatus pm_ctr_model_open(PmContext *ctx, const PmModel *container,
								  void **model);

/* Add a model's sections, but for "meta" and "run", to a writer. */
extern PmStatus pm_ctr_model_sections(PmContext *ctx, const CtrModel *model,
									  PmModelWriter *writer);

/* What scoring a row of so many entries needs room for, in bytes. */
extern size_t pm_ctr_scratch_size(const CtrModel *model, int entries);

/* The logit of a row, before calibration. */
extern double pm_ctr_model_logit(const CtrModel *model,
								 const PmCtrEntry *entries, int count,
								 void *scratch);

/* What calibration makes of a logit: the probability among the rows in training. */
extern double pm_ctr_model_calibrated(const CtrModel *model, double logit);

/* The probability that a logit stands for: calibrated, then corrected for
 * negatives that were left out of training. */
extern double pm_ctr_model_probability(const CtrModel *model, double logit);

/* What each entry adds to the logit; with the intercept they sum to it. */
extern void pm_ctr_model_contributions(const CtrModel *model,
									   const PmCtrEntry *entries, int count,
									   void *scratch, double *contributions);

/* Logits of all rows; not of a hashed model. */
extern PmStatus pm_ctr_model_logits(PmContext *ctx, const CtrModel *model,
									const PmCtrRows *rows, float *logits);

#endif							/* CTR_MODEL_H */
