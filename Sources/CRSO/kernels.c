#include "crso.h"
