"""The judge: the stage that closes windows, weighs their evidence, and reports, alerts and orders retraining."""
