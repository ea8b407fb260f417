"""pneumo: tells pneumonia from healthy lungs on chest X-rays by transfer learning."""
