#ifndef CRSO_H
#define CRSO_H
#endif
